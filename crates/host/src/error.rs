//! Why a configuration will not do, or a side does not open.

use driftline_ports::Error;

/// What went wrong between a configuration and the ports.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A side says so.
    #[error(transparent)]
    Side(#[from] Error),
    /// A database that is a local file cannot be brought up to date.
    #[error("open the database: {0}")]
    Outdated(Error),
    /// The configuration, this build, or what lies around says so.
    #[error(transparent)]
    Problem(#[from] Problem),
}

impl HostError {
    /// What the side said, if it was one.
    pub fn side(&self) -> Option<&Error> {
        match self {
            Self::Side(error) | Self::Outdated(error) => Some(error),
            Self::Problem(_) => None,
        }
    }
}

/// What a problem means for whoever started the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A URL, a configuration or a build that will not do.
    Misuse,
    /// A side is not there, and was not to be made.
    NotFound,
    /// It could be done, and must not.
    Refused,
    /// Something else that the machine said.
    Failed,
}

/// A problem of this process rather than of a side. No value of the configuration is in its message: it may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What it means.
    pub kind: ProblemKind,
    /// What is the matter: verb, object, identifier.
    pub message: String,
    /// What to do next, if there is something to say.
    pub advice: Option<Advice>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            advice: None,
        }
    }

    pub(crate) fn misuse(message: impl Into<String>) -> Self {
        Self::new(ProblemKind::Misuse, message)
    }

    pub(crate) fn advise(self, advice: Advice) -> Self {
        Self {
            advice: Some(advice),
            ..self
        }
    }

    /// What this build cannot do.
    #[cfg(not(all(
        feature = "postgres",
        feature = "sqlite",
        feature = "s3",
        feature = "http"
    )))]
    pub(crate) fn left_out(message: impl Into<String>, feature: &'static str) -> Self {
        Self::misuse(message).advise(Advice::BuildWith(feature))
    }
}

/// What may be done about a [`Problem`]. Whoever shows it finds the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// How the URL of a database looks.
    DatabaseForm,
    /// How the URL of a bucket looks.
    SnapshotsForm,
    /// How a source is named.
    SourceForm,
    /// Name a database that is there, recover a lost one, or let something that writes make it.
    NameDatabase,
    /// Name a bucket that is there, or let something that writes make it.
    NameSnapshots,
    /// Grant what a scratch database takes, or name an empty one.
    GrantOrNameScratch,
    /// Build it with this feature.
    BuildWith(&'static str),
    /// Say that the configuration is meant by naming this file, or let nobody else write it.
    TrustFile(&'static str),
    /// Put the tenant's name in the source, or run a program that is told it.
    TellTenantsApart,
}
