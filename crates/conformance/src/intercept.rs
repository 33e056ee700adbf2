//! Between the core and a backend: one wrapper for every port, and what a test does to its calls.
//!
//! An [`Intercepted`] backend hands every call to its [`Hook`] as a value, together with the work that carries it out. What
//! the hook makes of the two is what the caller gets: it may wait, look, leave the work undone, or answer otherwise.
//!
//! ```
//! # use driftline_conformance::{Args, Intercepted, hook};
//! # use driftline_core::adapters::memory::MemorySnapshotStore;
//! # use driftline_ports::{Fault, Precondition, Side, SnapshotStore, StoreError};
//! # use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
//! # driftline_conformance::run(async {
//! let puts = AtomicUsize::new(0);
//! let loses_the_second = hook(move |call, work| {
//!     let second = matches!(call.args, Args::Put("a/x", ..)) && puts.fetch_add(1, Ordering::Relaxed) == 1;
//!     Box::pin(async move {
//!         let answer = work.await?;
//!         if second {
//!             // It was done, and nobody is told.
//!             return Err(StoreError::new(Side::Bucket, Fault::OutcomeUnknown, "timed out"));
//!         }
//!         Ok(answer)
//!     })
//! });
//! let store = Intercepted::new(Arc::new(MemorySnapshotStore::new()), loses_the_second);
//! let put = async || store.put("a/x", "{}".into(), Precondition::Absent).await;
//! assert!(put().await.is_ok());
//! assert_eq!(put().await.unwrap_err().fault(), Fault::OutcomeUnknown);
//! # });
//! ```
//!
//! [`FaultyStore`](crate::FaultyStore) is such a bucket, with rules instead of a closure.

mod bucket;
mod database;
mod restore;

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use driftline_model::{BucketId, Entry, Halt, PerStream, Seq, Stream, TenantId};
use driftline_ports::{Asked, DatabaseIdentity, Mark, NewEntry, Precondition, Side, StoreResult};

/// A call of a port.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The method, as the port names it.
    pub method: &'static str,
    /// What it was called with.
    pub args: Args<'a>,
}

/// What a call was called with, as far as a test asks.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Args<'a> {
    /// Reads from the bucket: the key.
    Get(&'a str),
    /// Writes to the bucket, if the condition holds.
    Put(&'a str, &'a Bytes, &'a Precondition),
    /// Lists the bucket: prefix, after, limit.
    List(&'a str, Option<&'a str>, usize),
    /// Names the folders of the bucket.
    Folders,
    /// Removes from the bucket: the key.
    Delete(&'a str),
    /// Asks the bucket what it is; of an inspection the key that it may write.
    Bucket(Option<&'a str>),
    /// Appends an entry, on any server that was allowed or on one.
    Append(&'a TenantId, &'a NewEntry, Option<&'a DatabaseIdentity>),
    /// Reads from the database, of one tenant or of several.
    Read(Option<&'a TenantId>),
    /// Reads one entry by its number.
    ReadEntry(&'a TenantId, Stream, Seq),
    /// Reads what several tenants' drift is compared with.
    Documents(&'a [Asked]),
    /// Writes to the database, of one tenant or of all.
    Write(Option<&'a TenantId>),
    /// Moves a watermark forward.
    Advance(&'a TenantId, BucketId, &'a Mark),
    /// Stops a tenant's shadowing.
    Halt(&'a TenantId, &'a Halt),
    /// Takes a tenant's lock for a restore.
    BeginRestore(&'a TenantId),
    /// Inserts into a restore.
    Insert(Restoring<'a>, &'a [Entry]),
    /// Takes out of a restore.
    Remove(Restoring<'a>, Stream, &'a [Seq]),
    /// Commits a restore.
    Commit(Restoring<'a>, &'a PerStream<Seq>),
}

/// A restore that a call belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Restoring<'a> {
    /// Of every restore of the process another one.
    pub number: u64,
    /// Whose.
    pub tenant: &'a TenantId,
}

impl<'a> Call<'a> {
    /// Whose port it is.
    pub fn side(&self) -> Side {
        match self.args {
            Args::Get(_)
            | Args::Put(..)
            | Args::List(..)
            | Args::Folders
            | Args::Delete(_)
            | Args::Bucket(_) => Side::Bucket,
            _ => Side::Database,
        }
    }

    /// Whether it changes what is stored. A restore begins without.
    pub fn writes(&self) -> bool {
        matches!(
            self.args,
            Args::Put(..)
                | Args::Delete(_)
                | Args::Append(..)
                | Args::Write(_)
                | Args::Advance(..)
                | Args::Halt(..)
                | Args::Insert(..)
                | Args::Remove(..)
                | Args::Commit(..)
        )
    }

    /// Whose rows it is about, where it is about one tenant's.
    pub fn tenant(&self) -> Option<&'a TenantId> {
        match self.args {
            Args::Append(tenant, ..)
            | Args::ReadEntry(tenant, ..)
            | Args::Advance(tenant, ..)
            | Args::Halt(tenant, _)
            | Args::BeginRestore(tenant)
            | Args::Insert(Restoring { tenant, .. }, _)
            | Args::Remove(Restoring { tenant, .. }, ..)
            | Args::Commit(Restoring { tenant, .. }, _) => Some(tenant),
            Args::Read(tenant) | Args::Write(tenant) => tenant,
            _ => None,
        }
    }

    /// The key of the object that it is about, or the prefix of a list; empty without one.
    pub fn key(&self) -> &'a str {
        match self.args {
            Args::Get(key) | Args::Put(key, ..) | Args::List(key, ..) | Args::Delete(key) => key,
            Args::Bucket(scratch) => scratch.unwrap_or_default(),
            _ => "",
        }
    }
}

/// What a call answers with: a value of the type that its method returns.
pub struct Answer(Box<dyn Any + Send>);

impl Answer {
    /// An answer of this value.
    pub fn of<T: Send + 'static>(value: T) -> Self {
        Self(Box::new(value))
    }

    /// The value, where it is of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// The value to change, where it is of this type.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.0.downcast_mut()
    }

    fn value<T: 'static>(self) -> T {
        let value = self.0.downcast().ok();
        *value.expect("a hook answers with what the call answers with")
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// A call that has not begun: it is carried out when it is awaited.
pub type Work<'a> = Pin<Box<dyn Future<Output = StoreResult<Answer>> + Send + 'a>>;

/// What stands around every call. A closure is one, by [`hook`].
pub trait Hook: Send + Sync + 'static {
    /// What the caller of `call` gets, where `work` is what the backend makes of it.
    fn around<'a>(&'a self, call: Call<'a>, work: Work<'a>) -> Work<'a>;
}

impl<F> Hook for F
where
    F: for<'a> Fn(Call<'a>, Work<'a>) -> Work<'a> + Send + Sync + 'static,
{
    fn around<'a>(&'a self, call: Call<'a>, work: Work<'a>) -> Work<'a> {
        self(call, work)
    }
}

/// A closure as a hook: without it the compiler does not see for which calls the closure is.
pub fn hook<F>(around: F) -> F
where
    F: for<'a> Fn(Call<'a>, Work<'a>) -> Work<'a> + Send + Sync + 'static,
{
    around
}

/// A backend with a hook around every call. Clones share both.
pub struct Intercepted<P: ?Sized, H> {
    inner: Arc<P>,
    /// Which backend it is when a call is carried out, where that changes.
    chosen: Option<Arc<dyn Fn() -> Arc<P> + Send + Sync>>,
    hook: Arc<H>,
}

impl<P: ?Sized, H: Hook> Intercepted<P, H> {
    /// Puts a hook around a backend.
    pub fn new(inner: Arc<P>, hook: H) -> Self {
        Self {
            inner,
            chosen: None,
            hook: Arc::new(hook),
        }
    }

    /// The same around whichever backend there is when a call is carried out.
    pub fn choosing(chosen: impl Fn() -> Arc<P> + Send + Sync + 'static, hook: H) -> Self {
        Self {
            inner: chosen(),
            chosen: Some(Arc::new(chosen)),
            hook: Arc::new(hook),
        }
    }

    /// The backend.
    pub fn inner(&self) -> Arc<P> {
        let inner = || Arc::clone(&self.inner);
        self.chosen.as_ref().map_or_else(inner, |chosen| chosen())
    }

    /// What stands around its calls.
    pub fn hook(&self) -> &H {
        &self.hook
    }
}

impl<P: ?Sized, H> Clone for Intercepted<P, H> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            chosen: self.chosen.clone(),
            hook: Arc::clone(&self.hook),
        }
    }
}

impl<P: ?Sized + fmt::Debug, H> fmt::Debug for Intercepted<P, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Intercepted").field(&self.inner).finish()
    }
}

/// Implements a port for an intercepted backend of it: a method, and its call as a value.
macro_rules! forward {
    ($port:ident {
        $($method:ident($($arg:ident: $type:ty),*) -> $answer:ty => $args:expr;)*
    } $($rest:tt)*) => {
        #[async_trait::async_trait]
        impl<P: $port + ?Sized, H: Hook> $port for Intercepted<P, H> {
            $(
                async fn $method(&self, $($arg: $type),*) -> StoreResult<$answer> {
                    let call = Call { method: stringify!($method), args: $args };
                    let work = Box::pin(async move {
                        self.inner().$method($($arg),*).await.map(Answer::of)
                    });
                    self.hook.around(call, work).await.map(Answer::value)
                }
            )*

            $($rest)*
        }
    };
}

use forward;
