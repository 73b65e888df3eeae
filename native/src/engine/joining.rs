//! One record's step: join what a batch says into it, and decide what follows. In Python:
//! `resolver.joining`.

use super::Engine;
use crate::arena::{Name, Span};
use crate::profiles::Sight;
use crate::records::{keeps_owners, Contribution, Layer, Record, Share};
use crate::state::State;
use crate::targets::{restrictions_of, Seen, Stable};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// What should now be under a key of one destination; without `shows` nothing, a tombstone.
pub(super) struct Output {
    pub(super) target: usize,
    pub(super) shows: Option<(Stable, Arc<Seen>)>,
}

/// A record's next state with what its swap entails.
pub(super) struct Joined {
    pub(super) delta: usize,
    pub(super) before: Option<Box<State>>,
    pub(super) settled: bool,
    pub(super) state: State,
    pub(super) raw: Py<PyBytes>,
    pub(super) outputs: Vec<Output>,
    pub(super) deliveries: Vec<(Name, Contribution)>,
}

/// The transaction under way, and the time.
pub(super) struct Tag {
    pub(super) incarnation: Name,
    pub(super) sequence: i64,
    pub(super) now_ms: i64,
}

impl Engine {
    /// The next state; None if nothing changes and all outputs are known to be committed. Takes the
    /// stored state out of the delta: if the swap is lost, its reply puts what is there instead.
    pub(super) fn join(
        &mut self,
        py: Python,
        delta: usize,
        settled: bool,
        tag: &Tag,
    ) -> PyResult<Option<Joined>> {
        let said = self.deltas.said(&mut self.arena, delta);
        let before = self.deltas[delta].stored.take();
        let key = self.deltas[delta].key;
        let known = before.as_ref().map(|old| &old.record);
        let (record, changes) = self.arena.join_records(known, &said);
        if settled && !changes.any() && before.is_some() {
            return Ok(None);
        }
        let version = before.as_ref().map_or(tag.now_ms, |old| (old.version + 1).max(tag.now_ms));
        let keeps = match (before.as_ref().map(|old| &old.record), &record) {
            (Some(Record::Device(before)), Record::Device(after)) => {
                keeps_owners(before, after, changes)
            }
            _ => false,
        };
        let mut shares = Vec::new();
        let mut outbox = Vec::new();
        if !settled || !keeps {
            shares = self.arena.shares_of(&record, key);
            outbox = self.outbox(key, before.as_deref(), &shares, settled);
        }
        let deliveries =
            outbox.iter().map(|&receiver| (receiver, share_of(&shares, receiver, version)));
        let deliveries = deliveries.collect();
        let (incarnation, sequence) = (tag.incarnation, tag.sequence);
        let state = State { record, incarnation, sequence, outbox, shown: Vec::new(), version };
        let raw = PyBytes::new(py, b"").unbind();
        let outputs = Vec::new();
        let mut joined = Joined { delta, before, settled, state, raw, outputs, deliveries };
        self.show(py, key, &mut joined)?;
        let mut raw = Vec::with_capacity(512);
        self.arena.encode(&joined.state, &mut raw, &self.words);
        joined.raw = PyBytes::new(py, &raw).unbind();
        Ok(Some(joined))
    }

    /// Whose contribution changed, with what is still under way from before.
    pub(super) fn outbox(
        &mut self,
        key: Name,
        old: Option<&State>,
        shares: &[Share],
        settled: bool,
    ) -> Vec<Name> {
        let is_user = self.arena.text(key).starts_with(b"user:");
        if shares.is_empty() && (old.is_none() || is_user) {
            return Vec::new();
        }
        let shared = match old {
            Some(old) => self.arena.shares_of(&old.record, key),
            None => Vec::new(),
        };
        let arena = &self.arena;
        let is_same = |one: &Share| {
            shared.iter().any(|other| {
                other.through == one.through
                    && arena.same_layers(&other.identified, &one.identified)
                    && arena.same_layers(&other.anonymous, &one.anonymous)
            })
        };
        let mut changed: Vec<Name> =
            shares.iter().filter(|one| !is_same(one)).map(|one| one.through).collect();
        let gone = |one: &&Share| !shares.iter().any(|now| now.through == one.through);
        changed.extend(shared.iter().filter(gone).map(|one| one.through));
        if let Some(old) = old.filter(|_| !settled) {
            changed.extend_from_slice(&old.outbox);
        }
        changed.sort_by(|one, other| arena.text(*one).cmp(arena.text(*other)));
        changed.dedup();
        changed
    }

    /// Sets what must be emitted, and the digest of what each destination is shown.
    pub(super) fn show(&mut self, py: Python, key: Name, joined: &mut Joined) -> PyResult<()> {
        let before: &[(Name, Span)] = joined.before.as_ref().map_or(&[], |old| &old.shown);
        let outputs = if !self.arena.is_hidden(&joined.state.record, key) {
            self.project_all(py, key, &joined.state.record)?
        } else if before.is_empty() {
            Vec::new()
        } else {
            (0..self.targets.len()).map(|target| Output { target, shows: None }).collect()
        };
        for output in outputs {
            let target = &self.targets[output.target];
            let known = before.iter().find(|one| one.0 == target.number).map(|one| one.1);
            let digest = match (&output.shows, known) {
                (Some((stable, seen)), _) => {
                    let digest = target.digest(py, &self.arena, stable, seen);
                    self.arena.add(&digest)
                }
                (None, Some(_)) => self.arena.part(self.arena.nil, 0, 0),
                (None, None) => continue,
            };
            joined.state.shown.push((target.number, digest));
            let is_known =
                known.is_some_and(|known| self.arena.get(known) == self.arena.get(digest));
            if !joined.settled || !is_known {
                joined.outputs.push(output);
            }
        }
        Ok(())
    }

    /// What every destination should have under the key; folds once per distinct view.
    pub(super) fn project_all(
        &mut self,
        py: Python,
        key: Name,
        record: &Record,
    ) -> PyResult<Vec<Output>> {
        let restrictions = restrictions_of(record);
        let mut views: Vec<(Vec<bool>, Option<Arc<Seen>>)> = Vec::new();
        let mut outputs = Vec::with_capacity(self.targets.len());
        for number in 0..self.targets.len() {
            let view = self.view(py, number, &restrictions)?;
            let known = views.iter().find(|one| one.0 == view).map(|one| one.1.clone());
            let seen = match known {
                Some(seen) => seen,
                None => {
                    let sights = &self.targets[number].sights;
                    let profile = self.arena.project(record, key, sights);
                    let seen = profile.map(|profile| Arc::new(Seen::new(profile)));
                    views.push((view, seen.clone()));
                    seen
                }
            };
            let shows = match seen {
                None => None,
                Some(seen) => {
                    let target = &mut self.targets[number];
                    let stable = target.stable(py, &self.arena, &self.makers, &seen)?;
                    stable.map(|stable| (stable, seen))
                }
            };
            outputs.push(Output { target: number, shows });
        }
        Ok(outputs)
    }

    /// Which of the restrictions a destination may see.
    pub(super) fn view(
        &mut self,
        py: Python,
        target: usize,
        restrictions: &[Name],
    ) -> PyResult<Vec<bool>> {
        let target = &mut self.targets[target];
        target.look(py, &self.arena, restrictions)?;
        Ok(restrictions.iter().map(|&one| target.sights.may_see(one)).collect())
    }
}

/// What a receiver is delivered: its share, or nothing where it lost the one it had.
fn share_of(shares: &[Share], receiver: Name, version: i64) -> Contribution {
    match shares.iter().find(|one| one.through == receiver) {
        Some(one) => Contribution {
            version,
            identified: one.identified.clone(),
            anonymous: one.anonymous.clone(),
        },
        None => Contribution { version, identified: Layer::default(), anonymous: Layer::default() },
    }
}
