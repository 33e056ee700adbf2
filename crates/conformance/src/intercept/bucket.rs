//! The bucket's calls.

use bytes::Bytes;
use driftline_ports::{
    BackendInfo, Folders, Inspection, Listing, Object, Precondition, PutOutcome, SnapshotStore,
    StoreResult,
};

use super::{Answer, Args, Call, Hook, Intercepted, forward};

forward! { SnapshotStore {
    get(key: &str, most: u64) -> Option<Object> => Args::Get(key);
    list(prefix: &str, after: Option<&str>, limit: usize) -> Listing => Args::List(prefix, after, limit);
    folders(from: Option<&str>) -> Folders => Args::Folders;
    delete(key: &str) -> () => Args::Delete(key);
    ping() -> BackendInfo => Args::Bucket(None);
    inspect(scratch: &str) -> Vec<Inspection> => Args::Bucket(Some(scratch));
}
    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        let call = Call {
            method: "put",
            args: Args::Put(key, &bytes, &condition),
        };
        let (sent, only) = (bytes.clone(), condition.clone());
        let work = Box::pin(async move {
            self.inner().put(key, sent, only).await.map(Answer::of)
        });
        self.hook.around(call, work).await.map(Answer::value)
    }
}
