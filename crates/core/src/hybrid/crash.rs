//! Places where tests kill the process. Nothing of this is in a build without the feature `failpoints`.

/// Ends the process as `kill -9` would, if a test armed the point `name` through the environment variable `FAILPOINTS`
/// (`name=return`).
#[cfg(feature = "failpoints")]
pub(crate) fn point(name: &'static str) {
    fail::fail_point!(name, |_| {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    });
}

/// Does nothing.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn point(_name: &'static str) {}
