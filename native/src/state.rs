//! States as the store keeps them: the same flat msgpack arrays as the Python form's. See "What is
//! in Redis" in `docs/architecture.md`.
//!
//! Decoding copies the bytes into the arena once; traits and marks are then spans of that copy, and
//! are written back as they are. `whole` is that copy, `reader` reads the same bytes.

use crate::arena::{Arena, Name, Pair, Pairs, Span, NONE};
use crate::pack::{self, Malformed, Reader, Token};
use crate::records::{eff_of, Contribution, Device, Layer, Person, Point, Record, Statement};

/// Version of the encoded form; `resolver.state.STATE_SCHEMA`.
pub const STATE_SCHEMA: i64 = 2;
const HEAD: usize = 5;
/// Traits of a statement for which room is made ahead, whatever a state says of their number.
const PAIRS_USUAL: usize = 16;

/// A record, the tag of the transaction its outputs travel in, whose contribution is under way,
/// and what each destination is shown.
pub struct State {
    pub record: Record,
    pub incarnation: Name,
    pub sequence: i64,
    pub outbox: Vec<Name>,
    /// Per destination the digest of what this version shows there; empty: a tombstone.
    pub shown: Vec<(Name, Span)>,
    pub version: i64,
}

/// Why a state cannot be read.
pub enum Unreadable {
    Schema(i128),
    NoState,
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Unreadable {
        Unreadable::NoState
    }
}

/// How many groups of so many elements follow the first ones.
fn groups(elements: usize, first: usize, size: usize) -> Result<usize, Malformed> {
    match elements.checked_sub(first) {
        Some(rest) if rest % size == 0 => Ok(rest / size),
        _ => Err(Malformed),
    }
}

impl Arena {
    /// The state of a key, whose kind says which record it holds.
    pub fn decode(&mut self, key: Name, version: i64, raw: &[u8]) -> Result<State, Unreadable> {
        let whole = self.add(raw);
        let mut reader = Reader::new(raw);
        let elements = reader.array()?;
        match reader.next()? {
            Token::Int(STATE_SCHEMA) => {}
            Token::Int(other) => return Err(Unreadable::Schema(other.into())),
            Token::Big(other) => return Err(Unreadable::Schema(other.into())),
            _ => return Err(Unreadable::NoState),
        }
        let incarnation = self.read_name(whole, &mut reader)?;
        let sequence = reader.integer()?;
        let mut outbox = Vec::new();
        for _ in 0..reader.array()? {
            outbox.push(self.read_name(whole, &mut reader)?);
        }
        let mut shown = Vec::new();
        for _ in 0..reader.map()? {
            let name = self.read_name(whole, &mut reader)?;
            let (start, end) = reader.bytes()?;
            shown.push((name, self.part(whole, start, end)));
        }
        let record = if self.text(key).starts_with(b"anon:") {
            Record::Device(self.read_device(whole, &mut reader, elements)?)
        } else {
            Record::Person(self.read_person(whole, &mut reader, elements)?)
        };
        if reader.at < raw.len() {
            return Err(Unreadable::NoState);
        }
        Ok(State { record, incarnation, sequence, outbox, shown, version })
    }

    fn read_name(&mut self, whole: Span, reader: &mut Reader) -> Result<Name, Malformed> {
        let (start, end) = reader.text()?;
        Ok(self.name_at(self.part(whole, start, end)))
    }

    fn read_device(
        &mut self,
        whole: Span,
        reader: &mut Reader,
        elements: usize,
    ) -> Result<Device, Malformed> {
        let statements = match reader.next()? {
            Token::Array(len) => self.read_statements(whole, reader, len)?,
            _ => return Err(Malformed),
        };
        let mut linked = Vec::new();
        for _ in 0..reader.array()? {
            linked.push(self.read_name(whole, reader)?);
        }
        let mut points = Vec::new();
        for _ in 0..groups(elements, HEAD + 2, 3)? {
            let bucket = reader.integer()?;
            let who = self.read_name(whole, reader)?;
            points.push(Point { bucket, who, eff: reader.integer()? });
        }
        Ok(Device { statements, points, linked })
    }

    fn read_person(
        &mut self,
        whole: Span,
        reader: &mut Reader,
        elements: usize,
    ) -> Result<Person, Malformed> {
        let own = self.read_layer(whole, reader)?;
        let claim = match reader.next()? {
            Token::Nil => None,
            Token::Array(2) => {
                let (start, end) = reader.bytes()?;
                Some((self.part(whole, start, end), self.read_name(whole, reader)?))
            }
            _ => return Err(Malformed),
        };
        let mut sources = Vec::new();
        for _ in 0..groups(elements, HEAD + 3, 6)? {
            let source = self.read_name(whole, reader)?;
            let version = reader.integer()?;
            let identified = self.read_layer(whole, reader)?;
            let anonymous = self.read_layer(whole, reader)?;
            sources.push((source, Contribution { version, identified, anonymous }));
        }
        Ok(Person { own, sources, claim })
    }

    fn read_layer(&mut self, whole: Span, reader: &mut Reader) -> Result<Layer, Malformed> {
        let statements = match reader.next()? {
            Token::Array(len) => self.read_statements(whole, reader, len)?,
            Token::Nil => {
                return match reader.next()? {
                    Token::Nil => Ok(Layer::default()),
                    _ => Err(Malformed),
                }
            }
            _ => return Err(Malformed),
        };
        let mut first = Vec::new();
        match reader.next()? {
            Token::Int(eff) => first.push((NONE, eff)),
            Token::Map(len) => {
                for _ in 0..len {
                    first.push((self.read_name(whole, reader)?, reader.integer()?));
                }
            }
            Token::Nil => {}
            _ => return Err(Malformed),
        }
        Ok(Layer { statements, first })
    }

    fn read_statements(
        &mut self,
        whole: Span,
        reader: &mut Reader,
        len: usize,
    ) -> Result<Vec<Statement>, Malformed> {
        let mut statements = Vec::new();
        for _ in 0..groups(len, 0, 4)? {
            let (start, end) = reader.bytes()?;
            let stamp = self.part(whole, start, end);
            let eff = eff_of(&reader.raw[start..end]).ok_or(Malformed)?;
            let restriction = self.read_name(whole, reader)?;
            let traits = self.read_pairs(whole, reader)?;
            let marks = self.read_pairs(whole, reader)?;
            statements.push(Statement { eff, stamp, restriction, traits, marks });
        }
        Ok(statements)
    }

    /// The members of a map that lies in `whole`.
    pub fn read_pairs(&mut self, whole: Span, reader: &mut Reader) -> Result<Pairs, Malformed> {
        let len = reader.map()?;
        let mut pairs = Vec::with_capacity(len.min(PAIRS_USUAL));
        for _ in 0..len {
            pairs.push(self.read_pair(whole, reader)?);
        }
        Ok(self.add_pairs(&pairs))
    }

    fn read_pair(&mut self, whole: Span, reader: &mut Reader) -> Result<Pair, Malformed> {
        let name = self.read_name(whole, reader)?;
        let start = reader.at;
        reader.skip()?;
        Ok(Pair { name, value: self.part(whole, start, reader.at) })
    }

    /// The state as bytes.
    pub fn encode(&self, state: &State, out: &mut Vec<u8>) {
        let elements = match &state.record {
            Record::Device(device) => HEAD + 2 + 3 * device.points.len(),
            Record::Person(person) => HEAD + 3 + 6 * person.sources.len(),
        };
        pack::array_header(out, elements);
        pack::integer(out, STATE_SCHEMA);
        self.write_name(out, state.incarnation);
        pack::integer(out, state.sequence);
        pack::array_header(out, state.outbox.len());
        for &one in &state.outbox {
            self.write_name(out, one);
        }
        pack::map_header(out, state.shown.len());
        for &(name, digest) in &state.shown {
            self.write_name(out, name);
            pack::bytes(out, self.get(digest));
        }
        match &state.record {
            Record::Device(device) => self.write_device(out, device),
            Record::Person(person) => self.write_person(out, person),
        }
    }

    fn write_name(&self, out: &mut Vec<u8>, name: Name) {
        pack::text(out, self.text(name));
    }

    fn write_device(&self, out: &mut Vec<u8>, device: &Device) {
        self.write_statements(out, &device.statements);
        pack::array_header(out, device.linked.len());
        for &one in &device.linked {
            self.write_name(out, one);
        }
        for point in &device.points {
            pack::integer(out, point.bucket);
            self.write_name(out, point.who);
            pack::integer(out, point.eff);
        }
    }

    fn write_person(&self, out: &mut Vec<u8>, person: &Person) {
        self.write_layer(out, &person.own);
        match person.claim {
            None => pack::nil(out),
            Some((stamp, who)) => {
                pack::array_header(out, 2);
                pack::bytes(out, self.get(stamp));
                self.write_name(out, who);
            }
        }
        for (source, one) in &person.sources {
            self.write_name(out, *source);
            pack::integer(out, one.version);
            self.write_layer(out, &one.identified);
            self.write_layer(out, &one.anonymous);
        }
    }

    fn write_layer(&self, out: &mut Vec<u8>, layer: &Layer) {
        if layer.is_empty() {
            pack::nil(out);
            pack::nil(out);
            return;
        }
        self.write_statements(out, &layer.statements);
        match layer.first[..] {
            [(NONE, eff)] => pack::integer(out, eff),
            _ => {
                pack::map_header(out, layer.first.len());
                for &(restriction, eff) in &layer.first {
                    self.write_name(out, restriction);
                    pack::integer(out, eff);
                }
            }
        }
    }

    fn write_statements(&self, out: &mut Vec<u8>, statements: &[Statement]) {
        pack::array_header(out, 4 * statements.len());
        for one in statements {
            pack::bytes(out, self.get(one.stamp));
            self.write_name(out, one.restriction);
            self.write_pairs(out, one.traits);
            self.write_pairs(out, one.marks);
        }
    }

    fn write_pairs(&self, out: &mut Vec<u8>, pairs: Pairs) {
        pack::map_header(out, pairs.len());
        for one in self.pairs(pairs) {
            self.write_name(out, one.name);
            out.extend_from_slice(self.get(one.value));
        }
    }
}
