//! JSON Lines resolved in one pass, without a store. In Python: `resolver.offline`.

use crate::arena::Arena;
use crate::batch::{brought, Deltas, Kind};
use crate::phrases::Phrases;
use crate::reading::{Event, Outcome, Position, Reading, Received, Warned};
use crate::records::{Contribution, Record};
use crate::targets::{no_state, restrictions_of, Sights};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const TOPIC: &[u8] = b"lines";
/// Statements or points of one delta that are joined into its record before more are added: what is
/// said of a busy record stays as small as its bounds make it.
const DELTA_SIZE_MAX: usize = 1_024;
/// Lines between two looks for Ctrl-C.
const UNINTERRUPTED: usize = 4_096;

/// `resolver.edges._native.Lines`: what lines say, as one audience sees it.
#[pyclass(module = "resolver.edges._native")]
pub struct Lines {
    arena: Arena,
    reading: Reading,
    start_us: i64,
    read_line: Py<PyAny>,
    pack: Py<PyAny>,
    audience: Py<PyAny>,
    sights: Sights,
    deltas: Deltas,
    /// What is known by the numbers of deltas: beside these, until all is settled.
    records: Vec<Option<Record>>,
}

#[pymethods]
impl Lines {
    #[new]
    #[pyo3(signature = (*, reading, start_us, audience, read_line))]
    fn new(
        py: Python,
        reading: &Bound<PyAny>,
        start_us: i64,
        audience: Py<PyAny>,
        read_line: Py<PyAny>,
    ) -> PyResult<Lines> {
        Ok(Lines {
            arena: Arena::new(Phrases::known(py)?),
            reading: Reading::new(py, reading)?,
            start_us,
            read_line,
            pack: py.import("msgspec.msgpack")?.getattr("encode")?.unbind(),
            audience,
            sights: Sights::default(),
            deltas: Deltas::default(),
            records: Vec::new(),
        })
    }

    /// Reads lines and folds them; what is odd is left to `read_line`, with its place. Returns how
    /// many there were, and how many of those read here were joined and skipped.
    fn fold(&mut self, py: Python, lines: &Bound<PyAny>) -> PyResult<(usize, usize, usize)> {
        let (mut count, mut joined, mut skipped) = (0, 0, 0);
        let mut warned = Warned::default();
        for line in lines.try_iter()? {
            let line = line?;
            let raw = line.getattr(intern!(py, "raw"))?.cast_into::<PyBytes>()?;
            let position = Position {
                topic: TOPIC,
                partition: 0,
                offset: count as i64,
                received: Received::WhenSent { else_us: self.start_us },
            };
            match self.reading.read(py, &mut self.arena, &position, raw.as_bytes(), &mut warned)? {
                Outcome::Event(event) => {
                    self.add(py, event);
                    joined += 1;
                }
                Outcome::AnotherType => skipped += 1,
                Outcome::Odd => {
                    let read = self.read_line.bind(py).call1((line, count))?;
                    if !read.is_none() {
                        let event = brought(&mut self.arena, self.pack.bind(py), &read)?;
                        self.add(py, event);
                    }
                }
            }
            count += 1;
            if count % UNINTERRUPTED == 0 {
                py.check_signals()?;
            }
        }
        Ok((count, joined, skipped))
    }

    /// Delivers contributions, once all lines are read. Returns what each record that may be a
    /// profile is known by here, in the order of their identifiers.
    fn settle(&mut self, py: Python) -> Vec<usize> {
        for number in self.deltas.devices.clone() {
            self.settle_one(py, number);
        }
        for number in self.deltas.leads.clone() {
            self.settle_one(py, number);
        }
        for number in self.deltas.users.clone() {
            self.settle_one(py, number);
        }
        let mut numbers: Vec<usize> = (0..self.records.len()).collect();
        numbers.retain(|&number| {
            let record = self.records[number].as_ref();
            record.is_some_and(|one| !self.arena.is_hidden(one, self.deltas[number].key))
        });
        let text = |number: usize| self.arena.text(self.deltas[number].key);
        numbers.sort_by(|&one, &other| text(one).cmp(text(other)));
        numbers
    }

    /// A record's profile as a line of JSON without its end; None where the audience sees nothing.
    fn profile<'py>(
        &mut self,
        py: Python<'py>,
        number: usize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some(record) = &self.records[number] else {
            return Ok(None);
        };
        let key = self.deltas[number].key;
        self.sights.look(self.audience.bind(py), &self.arena, &restrictions_of(record))?;
        let end = self.arena.end();
        let Some(profile) = self.arena.project(record, key, &self.sights) else {
            return Ok(None);
        };
        let mut line = Vec::with_capacity(1_024);
        self.arena.write_line(&mut line, &profile).map_err(|_| no_state(py))?;
        self.arena.cut_to(end);
        Ok(Some(PyBytes::new(py, &line)))
    }
}

impl Lines {
    fn add(&mut self, py: Python, event: Event) {
        let concerned = [event.anon, event.identity];
        self.deltas.add(py, &self.arena, event);
        for key in concerned {
            let Some(number) = self.deltas.number(key) else { continue };
            let delta = &self.deltas[number];
            if delta.statements.len().max(delta.points.len()) >= DELTA_SIZE_MAX {
                self.join(number);
                let delta = &mut self.deltas[number];
                delta.statements.clear();
                delta.points.clear();
            }
        }
    }

    /// Joins what is said of a record into what is known of it.
    fn join(&mut self, number: usize) {
        if self.records.len() <= number {
            self.records.resize_with(number + 1, || None);
        }
        let said = self.deltas.said(&mut self.arena, number);
        let known = self.records[number].take();
        let (record, _) = self.arena.join_records(known.as_ref(), &said);
        self.records[number] = Some(record);
    }

    /// The final record; what it shows through others is delivered to them. Nobody is delivered to
    /// twice by the same record, so no contribution is looked for.
    fn settle_one(&mut self, py: Python, number: usize) {
        self.join(number);
        let delta = &mut self.deltas[number];
        delta.statements = Vec::new();
        delta.points = Vec::new();
        delta.sources = Vec::new();
        let key = delta.key;
        let Some(record) = &self.records[number] else { return };
        for share in self.arena.shares_of(record, key) {
            let person = self.deltas.of(py, &self.arena, share.through, Kind::Person);
            let (identified, anonymous) = (share.identified, share.anonymous);
            person.sources.push((key, Contribution { version: 1, identified, anonymous }));
        }
    }
}
