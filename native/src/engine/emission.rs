//! Turns what a swap entails into messages of the destinations and of the changelog. In Python:
//! `resolver.emission`.

use super::joining::{Joined, Output};
use super::Engine;
use crate::arena::Name;
use crate::batch::Kind;
use crate::profiles::{Revision, Shown};
use crate::state::State;
use crate::targets::{restrictions_of, Seen};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::Arc;

const VERSION_HEADER: &str = "resolver.version";

/// Which version of a record was emitted last, and to which destinations.
pub(super) struct Emitted {
    pub(super) delta: usize,
    pub(super) version: i64,
    pub(super) targets: Vec<usize>,
}

/// What is news of a profile to who saw the same before.
pub(super) struct Compared {
    pub(super) view: Vec<bool>,
    pub(super) seen: Arc<Seen>,
    pub(super) merged: Vec<Name>,
    pub(super) changed: Vec<Name>,
    pub(super) removed: Vec<Name>,
}

/// What a message says of its change; None where that is unknown.
pub(super) struct News {
    pub(super) merged: Vec<Name>,
    pub(super) changed: Option<Vec<Name>>,
    pub(super) removed: Option<Vec<Name>>,
}

impl Engine {
    /// What follows from a durable swap: emitted, and delivered to the next rounds.
    pub(super) fn swapped(&mut self, py: Python, mut joined: Joined) -> PyResult<()> {
        let deliveries = std::mem::take(&mut joined.deliveries);
        self.emit(py, &joined)?;
        let (source, caused_by) = {
            let delta = &self.deltas[joined.delta];
            (delta.key, delta.caused_by)
        };
        for (receiver, contribution) in deliveries {
            let person = self.deltas.of(py, &self.arena, receiver, Kind::Person);
            match person.sources.iter_mut().find(|known| known.0 == source) {
                Some(known) => known.1 = contribution,
                None => person.sources.push((source, contribution)),
            }
            let person = person.caused_by;
            if self.arena.get(person).is_empty() {
                self.deltas.of(py, &self.arena, receiver, Kind::Person).caused_by = caused_by;
            }
        }
        Ok(())
    }

    /// Produces a swapped record's outputs and its changelog entry; tombstones wait.
    pub(super) fn emit(&mut self, py: Python, joined: &Joined) -> PyResult<()> {
        let version = joined.state.version;
        let caused_by = self.deltas[joined.delta].caused_by;
        let caused_by = self.arena.get(caused_by).to_vec();
        let mut compared: Vec<Compared> = Vec::new();
        for output in &joined.outputs {
            let Some((_, seen)) = &output.shows else {
                self.waiting.push((output.target, joined.delta, version));
                continue;
            };
            let news = self.news(py, joined, output.target, seen, &mut compared)?;
            self.produce(py, joined.delta, output, version, &news, &caused_by)?;
        }
        self.log(py, joined.delta, joined.raw.bind(py))?;
        if joined.outputs.len() < joined.state.shown.len() {
            for &(name, _) in &joined.state.shown {
                let is_due = |one: &Output| self.targets[one.target].number == name;
                if !joined.outputs.iter().any(is_due) {
                    *self.suppressed.entry(name).or_default() += 1;
                }
            }
        }
        let targets = joined.outputs.iter().map(|one| one.target).collect();
        self.emitted.push(Emitted { delta: joined.delta, version, targets });
        Ok(())
    }

    /// What changed for a destination: everything where it had nothing before, unknown where the
    /// last state was in doubt.
    pub(super) fn news(
        &mut self,
        py: Python,
        joined: &Joined,
        target: usize,
        seen: &Arc<Seen>,
        compared: &mut Vec<Compared>,
    ) -> PyResult<News> {
        let merged = seen.profile.merged.clone();
        if !joined.settled {
            return Ok(News { merged, changed: None, removed: None });
        }
        let number = self.targets[target].number;
        let had = |old: &State| {
            old.shown.iter().any(|one| one.0 == number && !self.arena.get(one.1).is_empty())
        };
        let Some(before) = joined.before.as_ref().filter(|old| had(old)) else {
            let changed = seen.profile.traits.iter().map(|one| one.name).collect();
            return Ok(News { merged, changed: Some(changed), removed: Some(Vec::new()) });
        };
        let view = self.view(py, target, &restrictions_of(&before.record))?;
        let known =
            compared.iter().position(|one| one.view == view && Arc::ptr_eq(&one.seen, seen));
        let at = match known {
            Some(at) => at,
            None => {
                let key = self.deltas[joined.delta].key;
                let sights = &self.targets[target].sights;
                let old = self.arena.shown(&before.record, key, sights);
                let one = self.compare(view, old, seen);
                compared.push(one);
                compared.len() - 1
            }
        };
        let one = &compared[at];
        let (changed, removed) = (one.changed.clone(), one.removed.clone());
        Ok(News { merged: one.merged.clone(), changed: Some(changed), removed: Some(removed) })
    }

    /// What a profile shows one view that the old state did not; everything where that showed none.
    pub(super) fn compare(
        &mut self,
        view: Vec<bool>,
        old: Option<Shown>,
        seen: &Arc<Seen>,
    ) -> Compared {
        let profile = &seen.profile;
        let seen = seen.clone();
        let Some(old) = old else {
            let changed = profile.traits.iter().map(|one| one.name).collect();
            let merged = profile.merged.clone();
            return Compared { view, seen, merged, changed, removed: Vec::new() };
        };
        let (changed, removed) = self.arena.compared(&old, profile);
        let is_new = |one: &&Name| !old.merged.contains(one);
        let merged = profile.merged.iter().filter(is_new).copied().collect();
        Compared { view, seen, merged, changed, removed }
    }

    /// Produces a profile's message, behind its alias events where the destination gets them.
    pub(super) fn produce(
        &mut self,
        py: Python,
        delta: usize,
        output: &Output,
        version: i64,
        news: &News,
        caused_by: &[u8],
    ) -> PyResult<()> {
        let Some((stable, seen)) = &output.shows else {
            return Ok(());
        };
        self.sent[output.target] += 1;
        let target = &mut self.targets[output.target];
        let key = &self.deltas[delta].object;
        let said = Revision {
            version,
            merged: &news.merged,
            changed: news.changed.as_deref(),
            removed: news.removed.as_deref(),
            caused_by,
        };
        if target.announces && !news.merged.is_empty() {
            for event in target.aliases(py, &self.arena, &self.makers, seen, &said)? {
                self.sent[output.target] += 1;
                self.outside.produce.bind(py).call1((&target.topic, key, event))?;
            }
        }
        let message = target.message(py, &self.arena, &self.makers, (stable, seen), &said)?;
        self.outside.produce.bind(py).call1((&target.topic, key, message))?;
        Ok(())
    }

    pub(super) fn produce_tombstone(
        &mut self,
        py: Python,
        target: usize,
        delta: usize,
        version: i64,
    ) -> PyResult<()> {
        self.sent[target] += 1;
        let topic = &self.targets[target].topic;
        let key = &self.deltas[delta].object;
        let said = PyBytes::new(py, version.to_string().as_bytes());
        let headers = PyList::new(py, [(VERSION_HEADER, said)])?;
        self.outside.produce.bind(py).call1((topic, key, py.None(), headers))?;
        Ok(())
    }

    /// Produces the state to the changelog, where there is one.
    pub(super) fn log(&self, py: Python, delta: usize, raw: &Bound<PyBytes>) -> PyResult<()> {
        if let Some(topic) = &self.changelog {
            let key = &self.deltas[delta].object;
            self.outside.produce.bind(py).call1((topic, key, raw))?;
        }
        Ok(())
    }
}
