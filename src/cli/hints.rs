//! The words for what an error advises. Only here are commands and options named.

use driftline::ports::{Error, Hint, Reason};
use driftline_host::Advice;
use serde_json::{Value, json};

/// An error as part of a document, with the words for its hint.
pub fn document(error: &Error) -> Value {
    let mut document = error.document();
    document["hint"] = json!(error.hinted().map(words));
    document
}

/// What a person reads.
pub fn words(hint: &Hint) -> String {
    fixed(hint).map_or_else(|| about(hint), str::to_owned)
}

/// A reason with what may be done about it.
pub fn reason(reason: &Reason) -> String {
    match &reason.hint {
        Some(hint) => format!("{reason}; {}", words(hint)),
        None => reason.to_string(),
    }
}

/// What may be done about a problem of the configuration, or of what lies around.
pub fn advice(advice: Advice) -> String {
    let fixed = match advice {
        Advice::DatabaseForm => {
            "--database takes postgres://USER@HOST/NAME, sqlite://PATH or memory:"
        }
        Advice::SnapshotsForm => {
            "--snapshots takes s3://BUCKET/PREFIX, file:///DIRECTORY or memory:"
        }
        Advice::SourceForm => {
            "file:PATH, a bare path, - for stdin, http(s)://…, exec:PROGRAM ARGUMENT… or discord:GUILD is expected; \
             {tenant} in it stands for the tenant"
        }
        Advice::NameDatabase => {
            "--database names another one; `driftline recover --all-tenants` brings a lost one back, and any command that writes \
             makes a new one"
        }
        Advice::NameSnapshots => {
            "--snapshots names another one; the first command that writes makes a new one"
        }
        Advice::GrantOrNameScratch => {
            "grant that, or give the drill an empty database of its own: --into URL"
        }
        Advice::TellTenantsApart => {
            "put {tenant} where the tenant's name belongs, or use exec:PROGRAM, which is told the tenant"
        }
        Advice::BuildWith(feature) => {
            return format!("build it with the feature `{feature}`, which is on by default");
        }
        Advice::TrustFile(file) => {
            return format!(
                "if you trust it, name it: --config {file}; or own it, and let nobody else write it"
            );
        }
        // One that this build has no words for goes unsaid.
        _ => "",
    };
    fixed.to_owned()
}

/// Why an entry of the older layout that nothing proves is not restored, and what restores it. A plan of an older build says
/// so itself.
pub fn unverifiable(problem: &str) -> String {
    let words = words(&Hint::AcceptUnverified);
    if problem.contains("unverifiable_legacy: ") && !problem.ends_with(&words) {
        format!("{problem}; {words}")
    } else {
        problem.to_owned()
    }
}

fn fixed(hint: &Hint) -> Option<&'static str> {
    Some(match hint {
        Hint::TryAgain => "nothing changed; try again",
        Hint::TryAgainWithTheKey => {
            "it happened whole or not at all; try again under the same idempotency key"
        }
        Hint::UseNewKey => "use a new key for new content",
        Hint::ReadAndDecideAgain => {
            "read the newest version, decide again, and repeat with the new expectation"
        }
        Hint::CheckAccess { .. } => "check the URL, the credentials and the permissions",
        Hint::PutBack => {
            "put the object back from a copy, or from the store's older versions of it; `driftline verify --read-data` names all that is damaged"
        }
        Hint::MakeDatabase => {
            "nothing was made: `driftline migrate` makes the schema in a database that is there, and `createdb` a database; --database names another one"
        }
        Hint::ReachBucketFirst => {
            "a new database must read the bucket once before it takes writes; check that the bucket is reachable and try again"
        }
        Hint::CheckBucketUrl => "check the --snapshots URL and its prefix",
        Hint::CheckBucketUrlOrMove => {
            "check the --snapshots URL; to move here, run `driftline recover --all-tenants`"
        }
        Hint::CheckBucketUrlOrFill { empty: true } => {
            "check the --snapshots URL, or run `driftline replicate --new-bucket` to shadow everything to a new bucket there"
        }
        Hint::CheckBucketUrlOrFill { empty: false } => {
            "check the --snapshots URL, or run `driftline replicate --new-bucket` to shadow everything to this one"
        }
        Hint::RecoverIdentity => {
            "if it is that bucket, `driftline recover --all-tenants` writes the object anew"
        }
        Hint::RecoverOrAdopt => {
            "`driftline recover --all-tenants` brings it back, `driftline adopt` goes on without"
        }
        Hint::AcceptUnverified => "`--accept-unverified` restores it all the same",
        Hint::RepairIndex { .. } => "`driftline repair` mends it",
        Hint::CheckBucketUrlOrRecover => {
            "check the --snapshots URL; `driftline recover --all-tenants` puts a lost bucket.json back"
        }
        Hint::MendBucket => {
            "`driftline repair --plan FILE` moves it to the quarantine and writes it anew; where the database is lost, `driftline recover --all-tenants` does"
        }
        Hint::UseNewerBuild => "use the driftline that wrote it, or a newer one",
        Hint::FindOwner => "`driftline doctor` shows whose it is",
        Hint::WaitForOthers => "another process is at work there; wait for it and try again",
        Hint::TestStore => "nothing was removed; look at the store with `driftline doctor --race`",
        Hint::ChangeStore => {
            "`driftline doctor --race` shows each check; use a store with conditional writes"
        }
        Hint::ListTenants => "`driftline tenant list` shows those it knows",
        Hint::ListTenantsOfDatabase => "`driftline tenant list` shows the tenants of the database",
        Hint::ListTenantsOrCheckBucketUrl => {
            "`driftline tenant list` shows the tenants of the database; check the --snapshots URL and its prefix"
        }
        Hint::ListTenantsOrRecover => {
            "`driftline tenant list` shows those it knows; what only the bucket knows comes back with `driftline recover --all-tenants`"
        }
        Hint::ListRetiredTenants => "`driftline tenant list` shows which tenants are",
        Hint::ListCommitTimes => "times mean committedAt; `driftline manifest history` shows them",
        Hint::RecoverWithoutTarget { .. } => {
            "recover it without a target; `driftline tenant reinstate` takes its end back"
        }
        Hint::RecoverRow => {
            "the row cannot be read; run `driftline recover --all-tenants --dry-run` to see what the bucket has"
        }
        Hint::RecoverProven => {
            "nothing was served or changed; `driftline recover --all-tenants --dry-run` shows what the bucket still proves"
        }
        Hint::RecoverToSee => "run `driftline recover --all-tenants` to see each tenant",
        Hint::RecoverAgain => "run the recovery again",
        Hint::Adopt => {
            "if this database takes the place of the one that it was copied from, run `driftline adopt`, and recover"
        }
        Hint::RecoverAgainToChoose => {
            "everything is restored; run the recovery again to choose the active version"
        }
        Hint::PutBackOrGiveUp { .. } => {
            "the bucket has later entries that cannot be reached without this object, and nothing was changed: put it back, or move it away to give them up"
        }
        Hint::ListAccepted => "`driftline verify` lists it with that decision",
        Hint::NothingToProve => "there is nothing to prove before something was shadowed to it",
        Hint::UseEmptyDatabase => {
            "a drill needs an empty database of its own; without --into it makes one and removes it"
        }
        Hint::ExternalIdsDiffer => "each resource is live under an id of its own",
        Hint::RecordWhatVersionHas => {
            "correct the record, or name the version that has them; what is live and to be deleted is recorded with `--allow-unknown`"
        }
        Hint::PointerForm => "a JSON pointer is empty or begins with `/`, like /spec/replicas",
        Hint::ChecksumForm => {
            "the checksum is the SHA-256 of the canonical (RFC 8785) content in lowercase hex"
        }
        _ => return None,
    })
}

fn about(hint: &Hint) -> String {
    let nothing_changed = |it: bool| if it { "nothing was changed; " } else { "" };
    match hint {
        Hint::ListVersions { tenant: None } => {
            "`driftline manifest history` shows the versions".to_owned()
        }
        Hint::ListVersions {
            tenant: Some(tenant),
        } => {
            format!("`driftline manifest history --tenant {tenant}` shows the versions")
        }
        Hint::Reinstate { again: true, .. } => {
            "`driftline tenant reinstate` takes it back".to_owned()
        }
        Hint::Reinstate { again: false, .. } => {
            "`driftline tenant reinstate` takes that decision back".to_owned()
        }
        Hint::Recover { tenant, dry_run } => {
            let whom = tenant.as_ref().map_or_else(
                || "--all-tenants".to_owned(),
                |tenant| format!("--tenant {tenant}"),
            );
            if *dry_run {
                format!("run `driftline recover {whom} --dry-run` to see what the bucket has")
            } else {
                format!("run `driftline recover {whom}` (add --dry-run to look first)")
            }
        }
        Hint::ResolveDivergence { tenant } => format!(
            "nothing was changed; to keep both histories run `driftline recover --tenant {tenant} --resolve-divergence` (add --dry-run to look first)"
        ),
        Hint::RepairOrGiveUp { tenant, object } => format!(
            "nothing was changed; `driftline repair --tenant {tenant} --plan FILE` shows what the rows bring back; to give up what cannot be reached, move {object} away"
        ),
        Hint::RestoreBackup { nothing_changed } => {
            let what = if *nothing_changed {
                "nothing was changed"
            } else {
                "its rows were not changed"
            };
            format!("restore the database from its own backup first; {what}")
        }
        Hint::RestoreBackupOrAcceptLoss {
            tenant,
            stream,
            seq,
        } => format!(
            "nothing was changed; restore the database from its own backup, or give the entry up with `driftline verify ack-lost --tenant {tenant} --stream {stream} --version {seq} --reason WHY`, and run this again"
        ),
        Hint::PlanRecoveryAgain {
            nothing_changed: it,
        } => format!(
            "{}make a new plan with `driftline recover --all-tenants --plan FILE`",
            nothing_changed(*it)
        ),
        Hint::PlanRepairAgain {
            nothing_changed: it,
        } => format!(
            "{}make a new plan with `driftline repair --plan FILE`",
            nothing_changed(*it)
        ),
        Hint::Repair { tenant } => {
            format!("`driftline repair --tenant {tenant} --plan FILE` shows what mends it")
        }
        Hint::RecoverMissing { tenant } => {
            format!("`driftline recover --tenant {tenant}` brings back what it lacks")
        }
        Hint::FindDivergence { tenant } => {
            format!("`driftline verify --tenant {tenant}` shows where")
        }
        Hint::Verify { tenant } => {
            format!("`driftline verify --tenant {tenant} --read-data` shows what is")
        }
        Hint::AuditAgain { tenant } => {
            format!("`driftline audit run --tenant {tenant}` makes a new one")
        }
        // A code that this build has no words for is still a code.
        other => other.parts().0.as_str().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use clap::Parser as _;
    use clap::error::{ContextKind, ErrorKind};

    use crate::cli::Cli;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }

    /// A word of a command line, with something in the place of what is put in at run time.
    fn word(word: &str) -> &str {
        match word {
            "{whom}" => "--all-tenants",
            "{stream}" => "manifests",
            "FILE" | "URL" => "file",
            "N" | "{}" | "{version}" | "{seq}" => "1",
            _ if word.starts_with('{') => "acme",
            _ => word,
        }
    }

    /// Why a command line does not exist. One without options names a command, and may leave out what it takes.
    fn fault(line: &str) -> Option<String> {
        let words = line.split_whitespace().map(word);
        let error = Cli::try_parse_from(words).err()?;
        match error.kind() {
            // The last is a family of commands.
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
            ErrorKind::MissingRequiredArgument if !line.contains(" --") => None,
            ErrorKind::MissingRequiredArgument => {
                let missing = error.get(ContextKind::InvalidArg).map(ToString::to_string);
                let missing = missing.unwrap_or_default();
                (missing != "--tenant <TENANT>").then(|| format!("{line}: {missing}"))
            }
            _ => Some(format!("{line}: {error}")),
        }
    }

    #[test]
    fn every_command_that_is_advised_exists() {
        let mut files = Vec::new();
        for folder in ["src", "crates"] {
            sources(
                &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
                &mut files,
            );
        }
        let mut faults = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            // A text may go on in the next line.
            let text = text.replace("\\\n", " ");
            for line in text.lines() {
                let line = line.trim_start();
                if line.starts_with("//") {
                    continue;
                }
                let advised = line.split('`').skip(1).step_by(2);
                let advised = advised.filter(|it| it.starts_with("driftline "));
                faults.extend(advised.filter_map(fault));
            }
        }
        assert_eq!(faults, Vec::<String>::new());
    }
}
