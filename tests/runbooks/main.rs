//! Every page of `runbooks/` and `docs/`, and the README, is run as it is written, against Postgres and LocalStack.
//!
//! A page's ```` ```console ```` blocks are its commands and what they print; see [`page`]. What breaks things first stands in
//! comments that are not shown, `<!-- setup` and `<!-- between`, which are scripts for `sh -e`. They use the programs in
//! `bin/`, which pages themselves never name, `aws` aside:
//!
//! - `aws`: `aws s3 ls|cp|rm`, as far as pages need it, over curl
//! - `seed`: migrates the database, and gives acme three versions and an apply, beta one version, all of them in the bucket
//! - `lose-database`: drops the database; `backup-database` copies it and `restore-backup` puts that copy in its place
//! - `take-replica` and `promote-replica`: a physical copy of the server as it is now, and its promotion
//! - `upgrade-server`: what `pg_upgrade` makes of the server as it is now
//! - `stop-bucket` and `start-bucket`: the endpoint of S3 takes no connections, and takes them again
//!
//! LocalStack looks at no credentials: that a new key of the bucket works is for the store's operator to see.
//!
//! `PAGES=write cargo test --test runbooks` puts what commands print now into the pages, with what differs from run to run
//! left out. Read the difference before you commit it.

mod matching;
mod page;
mod proxy;
mod replica;
mod run;
mod site;
mod structure;
#[path = "../support/mod.rs"]
mod support;

/// One test a page of a directory, and the list of them.
macro_rules! pages {
    ($list:ident in $directory:literal: $($name:ident),* $(,)?) => {
        /// The pages of the directory, as tests are named.
        const $list: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                let file = page::file_name(stringify!($name));
                run::page(&format!(concat!($directory, "/{}"), file));
            }
        )*
    };
}

pages![RUNBOOKS in "runbooks":
    bucket_lost,
    bucket_unreachable,
    database_lost,
    drill,
    failover_behind,
    index_lost,
    leaked_credential,
    old_backup,
    replicated_bucket,
    server_moved,
    snapshot_damaged,
    tenant_halted,
    tenant_overwritten,
    upgrade,
    wrong_manifest,
];

pages![GUIDES in "docs/guides":
    audits,
    connections,
    drift,
    drills,
    first_steps,
    integrity,
    library,
    recovery,
];

#[test]
fn the_first_commands() {
    run::page("runbooks/README.md");
}

#[test]
fn the_readme() {
    run::page("README.md");
}

#[test]
fn the_concepts() {
    run::page("docs/concepts.md");
}

#[test]
fn the_formats() {
    run::page("docs/formats.md");
}
