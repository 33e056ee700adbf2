//! The calls of a restore.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use driftline_model::{BucketId, Entry, PerStream, Seq, Stream, TenantId, TenantState};
use driftline_ports::{Restore, StoreResult};

use super::{Answer, Args, Call, Hook, Restoring};

struct Intercepted<H> {
    number: u64,
    tenant: TenantId,
    inner: Box<dyn Restore>,
    hook: Arc<H>,
}

/// A restore with the hook of its database around its calls.
pub(super) fn intercepted<H: Hook>(
    tenant: &TenantId,
    inner: Box<dyn Restore>,
    hook: &Arc<H>,
) -> Box<dyn Restore> {
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    Box::new(Intercepted {
        number: BEGUN.fetch_add(1, Ordering::Relaxed),
        tenant: tenant.clone(),
        inner,
        hook: Arc::clone(hook),
    })
}

#[async_trait]
impl<H: Hook> Restore for Intercepted<H> {
    fn state(&self) -> Option<&TenantState> {
        self.inner.state()
    }

    fn watermarks(&self) -> PerStream<Seq> {
        self.inner.watermarks()
    }

    async fn insert(&mut self, entries: &[Entry]) -> StoreResult<()> {
        let restoring = Restoring {
            number: self.number,
            tenant: &self.tenant,
        };
        let call = Call {
            method: "insert",
            args: Args::Insert(restoring, entries),
        };
        let work = self.inner.insert(entries);
        let work = Box::pin(async move { work.await.map(Answer::of) });
        self.hook.around(call, work).await.map(Answer::value)
    }

    async fn remove(&mut self, stream: Stream, seqs: &[Seq]) -> StoreResult<()> {
        let restoring = Restoring {
            number: self.number,
            tenant: &self.tenant,
        };
        let call = Call {
            method: "remove",
            args: Args::Remove(restoring, stream, seqs),
        };
        let work = self.inner.remove(stream, seqs);
        let work = Box::pin(async move { work.await.map(Answer::of) });
        self.hook.around(call, work).await.map(Answer::value)
    }

    async fn commit(
        self: Box<Self>,
        state: &TenantState,
        bucket: BucketId,
        watermarks: &PerStream<Seq>,
    ) -> StoreResult<()> {
        let Self {
            number,
            tenant,
            inner,
            hook,
        } = *self;
        let tenant = &tenant;
        let call = Call {
            method: "commit",
            args: Args::Commit(Restoring { number, tenant }, watermarks),
        };
        let work = inner.commit(state, bucket, watermarks);
        let work = Box::pin(async move { work.await.map(Answer::of) });
        hook.around(call, work).await.map(Answer::value)
    }
}
