//! Why a command did nothing.

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The cluster refused.
    #[error("{} (namespace `{}`: another is asked for with -n)", .0.message, .1)]
    Refused(Box<kube::core::Status>, String),
    /// The cluster can't be reached.
    #[error("{0}; does the kubeconfig name a cluster that answers?")]
    Cluster(kube::Error),
    /// There is no kubeconfig, or none that can be read.
    #[error("{0}; set KUBECONFIG, or name one with --kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// An object is of another version.
    #[error(
        "the answer can't be read: {0}; correct the Rollout with kubectl edit, or use the plugin of the controller's version"
    )]
    Unreadable(kube::Error),
    /// There is nothing to ask for.
    #[error("Rollout `{0}`: {1}")]
    NothingTo(String, &'static str),
    /// A revision can't be gone back to.
    #[error(
        "Rollout `{rollout}`: `{revision}` is none of the last promoted revisions ({kept}): name one of them with --to"
    )]
    NotPromoted {
        /// The Rollout.
        rollout: String,
        /// What was asked for.
        revision: String,
        /// What could be.
        kept: String,
    },
    /// A file can't be read.
    #[error("{0}: {1}")]
    File(String, String),
    /// An object is in the files more than once.
    #[error("{0} is in the files twice, once in {1}")]
    Twice(String, String),
    /// The files hold nothing of ours.
    #[error("the files hold no Rollout and no OrchestraEnvironment")]
    NothingToPlan,
    /// The files hold nothing of ours.
    #[error("the files hold no object of Orchestra's: is it the right folder?")]
    NothingToLint,
    /// What is foreseen may be wrong.
    #[error("not all could be read, so what would happen is not known:\n  {}", .0.join("\n  "))]
    Unread(Vec<String>),
    /// The cluster would refuse an object.
    #[error("{0} would be refused: {1}; kubectl orchestra lint tells the lines")]
    WouldBeRefused(String, String),
    /// Google can't be asked.
    #[error("{0}; plan reads Google Cloud with your own credentials: gcloud auth application-default login")]
    Google(String),
    /// Cloud Monitoring can't be asked.
    #[error(
        "{0}; backtest reads Cloud Monitoring with your own credentials (roles/monitoring.viewer): gcloud auth application-default login"
    )]
    Unmonitored(String),
    /// A service can't be described.
    #[error("{0}")]
    NotAdoptable(String),
    /// A name is none.
    #[error("{0}")]
    BadName(String),
    /// The cluster in this process failed.
    #[error("planning failed: {0}")]
    Offline(String),
    /// The output can't be written, or nobody reads it any more.
    #[error("the output can't be written: {0}")]
    Output(#[from] std::io::Error),
    /// What is to be printed can't be.
    #[error("it can't be printed: {0}")]
    Print(String),
}

impl CliError {
    /// Whether whoever read the output has gone away, which is their own matter.
    pub fn is_unread(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// Whether it may be otherwise in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Cluster(_) => true,
            Self::Refused(status, _) => status.code == 429 || status.code >= 500,
            _ => false,
        }
    }

    /// Of an answer about a namespace.
    pub fn of(error: kube::Error, namespace: &str) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status, namespace.to_string()),
            kube::Error::SerdeError(_) => Self::Unreadable(error),
            other => Self::Cluster(other),
        }
    }
}
