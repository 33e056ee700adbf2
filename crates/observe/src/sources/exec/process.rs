//! One run of a program, from its start to the last of its process group.

use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ExecOptions;
use crate::text::harmless;

/// How much is kept of what a program writes to its standard error: the end of it.
const TAIL: usize = 8 * 1024;

/// How long to wait for what is still in a pipe, or for a killed program, when its output does not matter any more.
const GRACE: Duration = Duration::from_millis(500);

/// Why a program yielded nothing, with the end of its standard error.
#[derive(Debug)]
pub(super) enum Failed {
    Start(io::Error),
    Pipe(io::Error),
    TooBig(u64),
    Late(Duration, String),
    Exit(ExitStatus, String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stderr = match self {
            Self::Start(error) => return write!(f, "it cannot be started: {error}"),
            Self::Pipe(error) => return write!(f, "its output cannot be read: {error}"),
            Self::TooBig(limit) => return write!(f, "it wrote more than {limit} bytes"),
            Self::Late(timeout, stderr) => {
                write!(f, "it was killed since it did not end within {timeout:?}")?;
                stderr
            }
            Self::Exit(status, stderr) => {
                write!(f, "it failed ({status})")?;
                stderr
            }
        };
        if stderr.is_empty() {
            return Ok(());
        }
        write!(f, "; it said: {stderr}")
    }
}

/// Runs a program to its end, and returns what it wrote to standard output and the end of what it wrote to standard error.
pub(super) async fn run(
    program: &str,
    arguments: impl Iterator<Item = String>,
    task: Bytes,
    options: ExecOptions,
) -> Result<(Bytes, String), Failed> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(Failed::Start)?;
    let mut group = Group { child, alive: true };
    let tail = Arc::new(Mutex::new(Vec::new()));
    let mut pipes = JoinSet::new();
    if let Some(mut stdin) = group.child.stdin.take() {
        pipes.spawn(async move {
            // A program need not read it.
            if stdin.write_all(&task).await.is_ok() {
                let _ = stdin.shutdown().await;
            }
        });
    }
    if let Some(stderr) = group.child.stderr.take() {
        pipes.spawn(keep_tail(stderr, Arc::clone(&tail)));
    }
    let ended = timeout(options.timeout, group.finish(options.limit)).await;
    if group.alive {
        group.kill();
        // The zombie would stay until this process ends.
        let _ = timeout(GRACE, group.child.wait()).await;
        group.alive = false;
    }
    // Whatever inherited the pipes may hold them open for ever.
    let _ = timeout(GRACE, async { while pipes.join_next().await.is_some() {} }).await;
    let stderr = {
        let tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        harmless(&String::from_utf8_lossy(&tail), TAIL)
    };
    match ended {
        Ok(Ok((status, stdout))) if status.success() => Ok((stdout, stderr)),
        Ok(Ok((status, _))) => Err(Failed::Exit(status, stderr)),
        Ok(Err(failed)) => Err(failed),
        Err(_) => Err(Failed::Late(options.timeout, stderr)),
    }
}

/// A program and what it started. Dropped before it ended, all of it is killed.
struct Group {
    child: Child,
    /// Nobody collected its exit status, so its number still means it and no other process.
    alive: bool,
}

impl Group {
    /// Reads standard output until it ends and so does the program. A program that ended has written all that it had to say:
    /// whatever it left behind may hold the pipe open for ever, and is not waited for.
    async fn finish(&mut self, limit: u64) -> Result<(ExitStatus, Bytes), Failed> {
        let mut output = BytesMut::new();
        let mut stdout = self.child.stdout.take();
        let status = loop {
            let Some(pipe) = &mut stdout else {
                break self.child.wait().await.map_err(Failed::Pipe)?;
            };
            let most = limit.saturating_add(1);
            tokio::select! {
                // What is in the pipe when the program ends is read below.
                biased;
                status = self.child.wait() => {
                    let status = status.map_err(Failed::Pipe)?;
                    self.alive = false;
                    let rest = async {
                        while (output.len() as u64) < most && pipe.read_buf(&mut output).await? > 0 {}
                        Ok(())
                    };
                    if let Ok(read) = timeout(GRACE, rest).await {
                        read.map_err(Failed::Pipe)?;
                    }
                    break status;
                }
                read = pipe.read_buf(&mut output) => match read.map_err(Failed::Pipe)? {
                    0 => stdout = None,
                    _ if output.len() as u64 >= most => return Err(Failed::TooBig(limit)),
                    _ => {}
                },
            }
        };
        self.alive = false;
        if output.len() as u64 > limit {
            return Err(Failed::TooBig(limit));
        }
        Ok((status, output.freeze()))
    }

    fn kill(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // It fails when all of it is gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.alive {
            self.kill();
        }
    }
}

/// Reads to the end, and keeps the last part.
async fn keep_tail(mut pipe: impl AsyncRead + Unpin, tail: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = vec![0; TAIL];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&chunk[..read]);
        let surplus = tail.len().saturating_sub(TAIL);
        tail.drain(..surplus);
    }
}
