//! A batch folded in memory: one delta per record, whatever the number of events. In Python:
//! `resolver.batch`.

use crate::arena::{Arena, Name, Pair, Pairs, Span, NONE};
use crate::pack::{Malformed, Reader};
use crate::reading::Event;
use crate::records::{
    add_point, eff_of, Claim, Contribution, Device, Layer, Person, Point, Record, Statement,
    BUCKET_US,
};
use crate::state::State;
use crate::targets::no_state;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::cmp::Ordering;
use std::ops::{Index, IndexMut};

/// No number of a delta.
const NO_DELTA: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Device,
    Person,
}

/// What a batch says about one record, and what the store has under its key.
pub struct Delta {
    pub key: Name,
    pub kind: Kind,
    /// The key as Python has it: what the store is asked for, and what messages lie under.
    pub object: Py<PyString>,
    pub caused_by: Span,
    pub statements: Vec<Statement>,
    pub points: Vec<Point>,
    pub linked: Vec<Name>,
    pub sources: Vec<(Name, Contribution)>,
    pub claim: Option<Claim>,
    /// Whether the store was asked: `stored` means something then, and None that nothing is there.
    pub looked_up: bool,
    pub stored: Option<Box<State>>,
}

/// The deltas of a batch, by their numbers, in the order in which their records came up.
#[derive(Default)]
pub struct Deltas {
    all: Vec<Delta>,
    /// The delta of each identifier, by its name; `NO_DELTA` of a text that has none.
    by_name: Vec<u32>,
    pub devices: Vec<usize>,
    pub leads: Vec<usize>,
    pub users: Vec<usize>,
}

impl Index<usize> for Deltas {
    type Output = Delta;

    fn index(&self, number: usize) -> &Delta {
        &self.all[number]
    }
}

impl IndexMut<usize> for Deltas {
    fn index_mut(&mut self, number: usize) -> &mut Delta {
        &mut self.all[number]
    }
}

impl Deltas {
    pub fn clear(&mut self) {
        self.all.clear();
        self.by_name.clear();
        self.devices.clear();
        self.leads.clear();
        self.users.clear();
    }

    /// Joins one event into the deltas of the records it concerns.
    pub fn add(&mut self, py: Python, arena: &Arena, event: Event) {
        let statement = event.statement;
        if event.identity == NONE {
            let device = self.of(py, arena, event.anon, Kind::Device);
            push(&mut device.statements, statement);
            device.caused_by = event.message_id;
            return;
        }
        let person = self.of(py, arena, event.identity, Kind::Person);
        push(&mut person.statements, statement);
        person.caused_by = event.message_id;
        if event.anon != NONE {
            let device = self.of(py, arena, event.anon, Kind::Device);
            let bucket = statement.eff.div_euclid(BUCKET_US);
            let point = Point { bucket, who: event.identity, eff: statement.eff };
            add_point(&mut device.points, point);
            if event.claim != NONE && !device.linked.contains(&event.claim) {
                device.linked.push(event.claim);
            }
        }
        if event.claim != NONE {
            let claim = (statement.stamp, event.identity);
            let lead = self.of(py, arena, event.claim, Kind::Person);
            let earlier = |known| arena.claim_order(claim, known) == Ordering::Less;
            if lead.claim.is_none_or(earlier) {
                lead.claim = Some(claim);
            }
        }
    }

    /// The number of a record's delta, where it has one.
    pub fn number(&self, key: Name) -> Option<usize> {
        let known = self.by_name.get(key as usize).filter(|&&one| one != NO_DELTA);
        known.map(|&one| one as usize)
    }

    /// The delta of a record, made when first asked for.
    pub fn of(&mut self, py: Python, arena: &Arena, key: Name, kind: Kind) -> &mut Delta {
        if self.by_name.len() <= key as usize {
            self.by_name.resize(arena.names().max(key as usize + 1), NO_DELTA);
        }
        let known = self.by_name[key as usize];
        if known != NO_DELTA {
            return &mut self.all[known as usize];
        }
        let number = self.all.len();
        self.by_name[key as usize] = number as u32;
        let text = arena.text(key);
        match (kind, text.first()) {
            (Kind::Device, _) => self.devices.push(number),
            (Kind::Person, Some(b'u')) => self.users.push(number),
            (Kind::Person, _) => self.leads.push(number),
        }
        self.all.push(Delta {
            key,
            kind,
            object: PyString::new(py, &String::from_utf8_lossy(text)).unbind(),
            caused_by: arena.part(arena.nil, 0, 0),
            statements: Vec::new(),
            points: Vec::new(),
            linked: Vec::new(),
            sources: Vec::new(),
            claim: None,
            looked_up: false,
            stored: None,
        });
        &mut self.all[number]
    }

    /// What the batch says of a record, as a record.
    pub fn said(&self, arena: &mut Arena, number: usize) -> Record {
        let delta = &self[number];
        let statements = delta.statements.clone();
        if delta.kind == Kind::Device {
            let statements = arena.in_order(statements);
            let mut points = delta.points.clone();
            arena.sort_points(&mut points);
            return Record::Device(Device { statements, points, linked: delta.linked.clone() });
        }
        let own = if statements.is_empty() { Layer::default() } else { arena.layer_of(statements) };
        Record::Person(Person { own, sources: delta.sources.clone(), claim: delta.claim })
    }
}

/// Of most records a batch says one thing: room for four would be most of what a delta takes.
fn push(statements: &mut Vec<Statement>, statement: Statement) {
    if statements.is_empty() {
        statements.reserve_exact(1);
    }
    statements.push(statement);
}

/// An event that the general reader has read; `pack` is `msgspec.msgpack.encode`.
pub fn brought(arena: &mut Arena, pack: &Bound<PyAny>, event: &Bound<PyAny>) -> PyResult<Event> {
    let py = event.py();
    let mut name = |holder: &Bound<PyAny>, attribute: &Bound<PyString>| -> PyResult<Name> {
        let text = holder.getattr(attribute)?.cast_into::<PyString>()?;
        Ok(arena.name(text.to_str()?.as_bytes()))
    };
    let (anon, identity) =
        (name(event, intern!(py, "anon"))?, name(event, intern!(py, "identity"))?);
    let claim = name(event, intern!(py, "claim"))?;
    let statement = event.getattr(intern!(py, "statement"))?;
    let restriction = name(&statement, intern!(py, "restriction"))?;
    let message_id = event.getattr(intern!(py, "message_id"))?.cast_into::<PyString>()?;
    let message_id = arena.add(message_id.to_str()?.as_bytes());
    let stamp = statement.getattr(intern!(py, "stamp"))?.cast_into::<PyBytes>()?;
    let eff = eff_of(stamp.as_bytes()).ok_or_else(|| no_state(py))?;
    let stamp = arena.add(stamp.as_bytes());
    let mut pairs = |attribute: &Bound<PyString>| -> PyResult<Pairs> {
        let packed = pack.call1((statement.getattr(attribute)?,))?;
        let pairs = packed_pairs(arena, packed.cast::<PyBytes>()?.as_bytes());
        pairs.map_err(|_| no_state(py))
    };
    let (traits, marks) = (pairs(intern!(py, "traits"))?, pairs(intern!(py, "marks"))?);
    let statement = Statement { eff, stamp, restriction, traits, marks };
    Ok(Event { anon, identity, claim, message_id, statement })
}

/// The members of a map in MessagePack; contexts are bytes.
fn packed_pairs(arena: &mut Arena, raw: &[u8]) -> Result<Pairs, Malformed> {
    let whole = arena.add(raw);
    let mut reader = Reader::new(raw);
    let mut pairs = Vec::new();
    for _ in 0..reader.map()? {
        let (start, end) = reader.text()?;
        let name = arena.name_at(arena.part(whole, start, end));
        let start = reader.at;
        let value = match reader.bytes() {
            Ok((start, end)) => arena.shortened(&raw[start..end]),
            Err(_) => {
                reader.at = start;
                reader.skip()?;
                arena.part(whole, start, reader.at)
            }
        };
        pairs.push(Pair { name, value });
    }
    Ok(arena.add_pairs(&pairs))
}
