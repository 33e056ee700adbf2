//! What comes too early: it refers to a version that no index will name when the plan is done.

use std::collections::BTreeSet;

use super::Planner;
use crate::hybrid::integrity::repair::Action;
use crate::hybrid::referring::waits_for;
use driftline_model::format::snapshot_key;
use driftline_model::integrity::{Finding, Mend};
use driftline_model::{Entry, Seq, Stream};
use driftline_ports::Result;

impl Planner<'_> {
    /// It may refer to a version, and no index names it that can be read.
    pub(super) fn is_unnamed(&self, finding: &Finding) -> bool {
        let refers = finding.stream.filter(|it| it.refers_to().is_some());
        let (Mend::Reshadow, Some(stream), Some(seq)) = (finding.repair, refers, finding.seq)
        else {
            return false;
        };
        seq > self.named(stream)
    }

    /// No index names it, and it refers to a version that no index will name either. Were its object there before that, a
    /// recovery that finds no index would name it first.
    pub(super) async fn comes_too_early(&mut self, row: &Entry) -> Result<bool> {
        if row.meta.stream.refers_to().is_none() || row.meta.seq <= self.named(row.meta.stream) {
            return Ok(false);
        }
        let manifests = match self.manifests {
            Some(manifests) => manifests,
            None => self.will_be_named(),
        };
        self.manifests = Some(manifests);
        let comes_back = row.meta.stream.references(&row.content)
            .into_iter()
            .filter(|to| to.version > manifests)
            .any(|to| {
                let is_it = |action: &Action| {
                    matches!(action, Action::RestoreRow { stream: Stream::Manifests, seq, chain, .. }
                        if (*seq, *chain) == (to.version, to.chain))
                };
                self.then.iter().any(is_it)
            });
        Ok(comes_back || waits_for(self.look.sides.database.as_ref(), row, manifests).await?)
    }

    /// The plan makes the stream's index up anew.
    pub(super) fn makes_anew(&self, stream: Stream) -> bool {
        let is_it = |action: &Action| matches!(action, Action::RebuildIndex { stream: it, .. } if *it == stream);
        self.then.iter().any(is_it)
    }

    fn named(&self, stream: Stream) -> Seq {
        let examined = self.examined.streams[stream].as_ref();
        examined.map_or(Seq::default(), |(_, stock)| stock.latest())
    }

    /// How far the index of manifests will go. One that is made up anew names all from the first on that is there with its row,
    /// or comes back by this plan; and so does a recovery where there is none, and none can be made up.
    fn will_be_named(&self) -> Seq {
        let named = self.named(Stream::Manifests);
        let Some((rows, stock)) = &self.examined.streams[Stream::Manifests] else {
            return named;
        };
        if stock.index.is_some() && !self.makes_anew(Stream::Manifests) {
            return named;
        }
        let mut mended = BTreeSet::new();
        for action in &self.then {
            if let Action::Reshadow { stream, seq, .. } | Action::RestoreRow { stream, seq, .. } =
                action
                && *stream == Stream::Manifests
            {
                mended.insert(*seq);
            }
        }
        let findings = self.examined.findings.iter().filter(|it| it.is_damage());
        let doubted: BTreeSet<_> = findings
            .filter(|it| it.stream == Some(Stream::Manifests) && it.repair != Mend::RebuildIndex)
            .filter_map(|it| Some((it.seq?, it.object.clone())))
            .collect();
        let is_there = |seq: Seq| {
            let Some(row) = rows.metas.get(&seq) else {
                return false;
            };
            let key = snapshot_key(&row.tenant, Stream::Manifests, seq, row.epoch);
            stock.objects.contains_key(&(seq, row.epoch))
                && !doubted.contains(&(seq, None))
                && !doubted.contains(&(seq, Some(key)))
        };
        let mut last = Seq::default();
        while mended.contains(&last.next()) || is_there(last.next()) {
            last = last.next();
        }
        last.max(named)
    }
}
