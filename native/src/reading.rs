//! Events as most senders write them, read straight from their bytes. An event that holds anything
//! else is `Odd` and left to `resolver.batch.read_message`, whose rules these are.
//!
//! Nothing is buried here. What the general reader would refuse is odd, and so is what it would
//! warn of, but for the two counts of `Warned`: its sentences and faults are written once. Below, a
//! `None` where a value was expected means that it needs a closer look: the event is odd.

use crate::arena::{Arena, Name, Pair, Span, NONE, QUIET, SEEN};
use crate::json::{self, Odd, Scanner, Text};
use crate::pack;
use crate::records::{write_stamp, Statement};
use crate::times::{epoch_us, usual_instant, FIRST_US, OLDEST_US};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyString};

/// A clock more than five minutes ahead is worth a warning.
const CLAMP_WARNED_US: i64 = 300_000_000;
/// Bytes beyond which the general reader buries an event.
const BYTES_MAX: usize = 256 * 1024;
/// Traits beyond which an event is odd: far from the general reader's bound, as names are compared
/// one by one here.
const TRAITS_MAX: usize = 100;
/// Spellings and restrictions remembered: more than any product has.
const MEMO_SIZE: usize = 16_384;
/// The longest of either that is remembered.
const REMEMBERED_BYTES_MAX: usize = 512;
/// Of ids that need no closer look; `PLAIN_FORM` of `resolver.core.identifiers`.
const ID_LENGTH_MAX: usize = 201;
/// The context's fields that are kept, in this order.
const CONTEXT_FIELDS: [&str; 11] = [
    "ip",
    "locale",
    "userAgent",
    "timezone",
    "channel",
    "campaign",
    "page",
    "device",
    "os",
    "app",
    "library",
];
/// The place of `channel`, which an event may also state outside of its context.
const CHANNEL: usize = 4;

/// Who said what; `NONE` stands for nobody.
pub struct Event {
    pub anon: Name,
    pub identity: Name,
    pub claim: Name,
    pub message_id: Span,
    pub statement: Statement,
}

/// Where an event lies.
pub struct Position<'a> {
    pub topic: &'a [u8],
    pub partition: u32,
    pub offset: i64,
    pub received: Received,
}

/// When an event was received that does not say so itself: at an instant, or when it was sent, else
/// when it happened, else at an instant.
#[derive(Clone, Copy)]
pub enum Received {
    At(i64),
    WhenSent { else_us: i64 },
}

/// What a message is: an event, one of another type, or one that needs a closer look.
pub enum Outcome {
    Event(Event),
    AnotherType,
    Odd,
}

/// What was mended in events that were accepted all the same.
#[derive(Default)]
pub struct Warned {
    pub trait_type: usize,
    pub clock_ahead: usize,
}

/// What becomes of the value of a trait with this name.
enum Kept {
    /// Nothing: the trait is not reserved.
    AsItIs,
    /// Texts stay, all else is converted.
    Texts,
    /// Whatever it is, but null, is converted.
    Converted,
}

/// What a spelling of a trait means.
struct Rule {
    canonical: Vec<u8>,
    kept: Kept,
}

/// What was learnt from Python, by bytes of its own: it outlives batches. Emptied at `MEMO_SIZE`.
type Memo<Value> = HashMap<Vec<u8>, Value, RandomState>;

/// How events are read: a `resolver.core.events.Reading`, and what was learnt so far.
pub struct Reading {
    literals: HashSet<Vec<u8>, RandomState>,
    literal_length_max: usize,
    listed: HashSet<Vec<u8>, RandomState>,
    lists_patterns: bool,
    trusts_clocks: bool,
    email_always: bool,
    rules: Memo<Rule>,
    consents: Memo<Option<Vec<u8>>>,
    canonical_name: Py<PyAny>,
    convert: Py<PyAny>,
    read_integrations: Py<PyAny>,
    parse_json: Py<PyAny>,
    pack: Py<PyAny>,
    unpack: Py<PyAny>,
    texts: Py<PyFrozenSet>,
    reserved: Py<PyFrozenSet>,
}

/// The members of an event that say something, as they stand there.
#[derive(Default)]
struct Members<'a> {
    kind: Option<Text<'a>>,
    message_id: Option<&'a [u8]>,
    user_id: Option<&'a [u8]>,
    anonymous_id: Option<&'a [u8]>,
    traits: Option<&'a [u8]>,
    context: [Option<&'a [u8]>; CONTEXT_FIELDS.len()],
    active: Option<&'a [u8]>,
    context_traits: Option<&'a [u8]>,
    integrations: Option<&'a [u8]>,
    timestamp: Option<&'a [u8]>,
    original_timestamp: Option<&'a [u8]>,
    received_at: Option<&'a [u8]>,
    sent_at: Option<&'a [u8]>,
    channel: Option<&'a [u8]>,
}

impl<'a> Members<'a> {
    /// Reads the whole event, so that one which is no JSON further on is odd as well.
    fn read(value: &'a [u8]) -> Result<Members<'a>, Odd> {
        let mut members = Members::default();
        let mut scanner = Scanner::new(value);
        scanner.pass_space();
        scanner.object(|inner, name| members.take(inner, name))?;
        scanner.end()?;
        if let (None, Some(channel @ [b'"', ..])) = (members.context[CHANNEL], members.channel) {
            if channel.contains(&b'\\') {
                return Err(Odd);
            }
            members.context[CHANNEL] = Some(channel);
        }
        Ok(members)
    }

    /// Of a name that comes twice the last value counts, as in the general reader.
    fn take(&mut self, scanner: &mut Scanner<'a>, name: Text<'a>) -> Result<(), Odd> {
        if name.escaped {
            return Err(Odd);
        }
        let place = match name.raw {
            b"type" => {
                self.kind = text_or_null(scanner)?;
                return Ok(());
            }
            b"context" => return self.take_context(scanner),
            b"messageId" => &mut self.message_id,
            b"userId" => &mut self.user_id,
            b"anonymousId" => &mut self.anonymous_id,
            b"traits" => &mut self.traits,
            b"integrations" => &mut self.integrations,
            b"timestamp" => &mut self.timestamp,
            b"originalTimestamp" => &mut self.original_timestamp,
            b"receivedAt" => &mut self.received_at,
            b"sentAt" => &mut self.sent_at,
            b"channel" => &mut self.channel,
            // The general reader's struct has fields of these names, for what the context holds.
            b"contextTraits" | b"active" | b"seen" => return Err(Odd),
            _ => {
                scanner.value()?;
                return Ok(());
            }
        };
        *place = stated(scanner.value()?);
        Ok(())
    }

    /// A context that comes twice counts as the last one does: whole.
    fn take_context(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Odd> {
        self.context = [None; CONTEXT_FIELDS.len()];
        self.active = None;
        self.context_traits = None;
        if scanner.peek()? == b'n' {
            scanner.value()?;
            return Ok(());
        }
        scanner.object(|inner, name| {
            if name.escaped {
                return Err(Odd);
            }
            let value = inner.value()?;
            match name.raw {
                b"active" => self.active = stated(value),
                b"traits" => self.context_traits = stated(value),
                known => {
                    let field = CONTEXT_FIELDS.iter().position(|one| one.as_bytes() == known);
                    if let Some(field) = field {
                        self.context[field] = Some(value);
                    }
                }
            }
            Ok(())
        })
    }

    /// The context as JSON text: what it is shown by.
    fn write_seen(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (name, value) in CONTEXT_FIELDS.iter().zip(self.context) {
            let Some(value) = value else { continue };
            if !first {
                out.push(b',');
            }
            first = false;
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value);
        }
        out.push(b'}');
    }
}

impl Reading {
    pub fn new(py: Python, reading: &Bound<PyAny>) -> PyResult<Reading> {
        let identifiers = py.import("resolver.core.identifiers")?;
        let traits = py.import("resolver.core.traits")?;
        let msgpack = py.import("msgspec.msgpack")?;
        let mut literals = HashSet::default();
        for one in identifiers.getattr("ILLEGAL_LITERALS")?.try_iter()? {
            literals.insert(one?.extract::<String>()?.into_bytes());
        }
        let frozen = |name: &str| -> PyResult<Py<PyFrozenSet>> {
            Ok(traits.getattr(name)?.cast_into::<PyFrozenSet>()?.unbind())
        };
        Ok(Reading {
            literal_length_max: literals.iter().map(Vec::len).max().unwrap_or(0),
            literals,
            listed: listed_in(&reading.getattr("illegal")?)?,
            lists_patterns: !reading.getattr("illegal")?.getattr("patterns")?.is_empty()?,
            trusts_clocks: reading.getattr("trust_clocks")?.extract()?,
            email_always: reading.getattr("identify_by_email_always")?.extract()?,
            rules: HashMap::default(),
            consents: HashMap::default(),
            canonical_name: traits.getattr("canonical_name")?.unbind(),
            convert: traits.getattr("convert")?.unbind(),
            read_integrations: py
                .import("resolver.core.consent")?
                .getattr("read_integrations")?
                .unbind(),
            parse_json: py.import("json")?.getattr("loads")?.unbind(),
            pack: msgpack.getattr("encode")?.unbind(),
            unpack: msgpack.getattr("decode")?.unbind(),
            texts: frozen("STRING_TRAITS")?,
            reserved: frozen("RESERVED_TRAITS")?,
        })
    }

    /// The event of a message's value, or why there is none here.
    pub fn read(
        &mut self,
        py: Python,
        arena: &mut Arena,
        position: &Position,
        value: &[u8],
        warned: &mut Warned,
    ) -> PyResult<Outcome> {
        let usual = value.len() <= BYTES_MAX && !json::is_written_anew(value);
        if !usual || std::str::from_utf8(value).is_err() {
            return Ok(Outcome::Odd);
        }
        let Ok(members) = Members::read(value) else {
            return Ok(Outcome::Odd);
        };
        match members.kind {
            Some(kind) if kind.escaped => return Ok(Outcome::Odd),
            Some(kind) if kind.raw != b"identify" => return Ok(Outcome::AnotherType),
            _ => {}
        }
        let read = self.read_members(py, arena, position, &members, warned)?;
        Ok(read.map_or(Outcome::Odd, Outcome::Event))
    }

    /// The event, in the order of `resolver.core.events.read_event`. Warnings are counted at the
    /// end: of an odd event the general reader counts them.
    fn read_members(
        &mut self,
        py: Python,
        arena: &mut Arena,
        position: &Position,
        members: &Members,
        warned: &mut Warned,
    ) -> PyResult<Option<Event>> {
        let Some(ids) = self.read_ids(arena, members) else {
            return Ok(None);
        };
        let (anon, mut identity) = ids;
        if members.context_traits.is_some_and(|one| one != b"{}") {
            return Ok(None);
        }
        let Some(times) = self.effective_time(members, position.received) else {
            return Ok(None);
        };
        let Some(restriction) = self.restriction(py, arena, members.integrations)? else {
            return Ok(None);
        };
        let mut mended = Warned::default();
        let traits = match members.traits {
            None => Vec::new(),
            Some(raw) => match self.traits(py, arena, raw, &mut mended)? {
                Some(traits) => traits,
                None => return Ok(None),
            },
        };
        let Some(email) = self.address_of(arena, &traits) else {
            return Ok(None);
        };
        if identity == NONE && email != NONE && (anon == NONE || self.email_always) {
            identity = email;
        }
        if identity == NONE && anon == NONE {
            return Ok(None);
        }
        let Ok(message_id) = message_id(arena, members.message_id) else {
            return Ok(None);
        };
        let statement = Statement {
            eff: times.eff,
            stamp: arena.written(|out| {
                let (offset, partition) = (position.offset, position.partition);
                write_stamp(out, times.eff, times.recv, offset, partition);
                out.extend_from_slice(position.topic);
            }),
            restriction,
            traits: arena.add_pairs(&traits),
            marks: marks(arena, members, anon, identity),
        };
        let is_user = arena.text(identity).starts_with(b"user:");
        let claim = if is_user { email } else { NONE };
        warned.trait_type += mended.trait_type;
        warned.clock_ahead += usize::from(times.ahead);
        Ok(Some(Event { anon, identity, claim, message_id, statement }))
    }

    /// (anon, identity), or None where they need a closer look.
    fn read_ids(&self, arena: &mut Arena, members: &Members) -> Option<(Name, Name)> {
        let anon = self.plain_id(members.anonymous_id)?;
        let user = self.plain_id(members.user_id)?;
        if !user.is_empty() && user == anon {
            return None;
        }
        let mut text = Vec::with_capacity(8 + anon.len().max(user.len()));
        let anon = if anon.is_empty() { NONE } else { name_of(arena, &mut text, b"anon:", anon) };
        let identity = if user.is_empty() {
            NONE
        } else if !user.contains(&b'@') {
            name_of(arena, &mut text, b"user:", user)
        } else if is_plain_address(user) {
            name_of(arena, &mut text, b"email:", &user.to_ascii_lowercase())
        } else {
            return None;
        };
        Some((anon, identity))
    }

    /// An id that is surely legal; empty where none is stated; None where it needs a closer look.
    fn plain_id<'a>(&self, stated: Option<&'a [u8]>) -> Option<&'a [u8]> {
        let Some(raw) = stated else { return Some(b"") };
        let id = bare_text(raw)?;
        let plain = (2..=ID_LENGTH_MAX).contains(&id.len())
            && is_word(id[0])
            && id.iter().all(|&one| is_word(one) || b".:@+-".contains(&one));
        if !plain || self.may_be_listed(id) || self.is_placeholder(id) {
            return None;
        }
        Some(id)
    }

    /// Whether the owner may have listed an id as nobody's, of whatever kind; patterns are Python's.
    fn may_be_listed(&self, id: &[u8]) -> bool {
        let listed = !self.listed.is_empty() && self.listed.contains(&id.to_ascii_lowercase());
        listed || self.lists_patterns
    }

    /// Whether an id may be what senders write for "none"; see `ILLEGAL_LITERALS`.
    fn is_placeholder(&self, plain: &[u8]) -> bool {
        if plain.iter().all(|&one| one == b'0' || one == b'-') {
            return true;
        }
        if plain.len() > self.literal_length_max {
            return false;
        }
        self.literals.contains(&plain.to_ascii_lowercase()) || plain == b"NaN"
    }

    /// `email:…` of a trait that is one legal address, `NONE` of none; None: a closer look.
    fn address_of(&self, arena: &mut Arena, traits: &[Pair]) -> Option<Name> {
        let Some(stated) = traits.iter().find(|one| one.name == crate::arena::EMAIL_TRAIT) else {
            return Some(NONE);
        };
        let raw = arena.get(stated.value);
        let Ok((start, end)) = pack::Reader::new(raw).text() else {
            return Some(NONE);
        };
        let address = &raw[start..end];
        if !address.contains(&b'@') {
            return Some(NONE);
        }
        if address.len() > 255 || !is_plain_address(address) || self.may_be_listed(address) {
            return None;
        }
        let lower = address.to_ascii_lowercase();
        Some(name_of(arena, &mut Vec::new(), b"email:", &lower))
    }

    /// `resolver.core.events.effective_time`, without the times that it would warn of.
    fn effective_time(&self, members: &Members, received: Received) -> Option<Times> {
        let recv = match (members.received_at, received) {
            (Some(raw), _) => instant(raw)?,
            (None, Received::At(instant_us)) => instant_us,
            (None, Received::WhenSent { else_us }) => match members.sent_at.or(members.timestamp) {
                Some(raw) => instant(raw)?,
                None => else_us,
            },
        };
        let original = match members.original_timestamp {
            Some(raw) => Some(instant(raw)?),
            None => None,
        };
        let stated = match members.timestamp {
            Some(raw) => Some(instant(raw)?),
            None => original,
        };
        let Some(mut eff) = stated else {
            return Some(Times { eff: recv, recv, ahead: false });
        };
        if original.is_none() && !self.trusts_clocks {
            if let Some(raw) = members.sent_at {
                let sent = instant(raw)?;
                if sent >= eff {
                    eff = (recv - (sent - eff)).max(FIRST_US);
                }
            }
        }
        if eff > recv {
            return Some(Times { eff: recv, recv, ahead: eff - recv > CLAMP_WARNED_US });
        }
        Some(Times { eff, recv, ahead: false })
    }

    /// The restriction that an event's integrations state; None where they need a closer look.
    fn restriction(
        &mut self,
        py: Python,
        arena: &mut Arena,
        stated: Option<&[u8]>,
    ) -> PyResult<Option<Name>> {
        let Some(raw) = stated else {
            return Ok(Some(NONE));
        };
        if raw == b"{}" {
            return Ok(Some(NONE));
        }
        if raw.len() > REMEMBERED_BYTES_MAX {
            return Ok(None);
        }
        if !self.consents.contains_key(raw) {
            if self.consents.len() >= MEMO_SIZE {
                self.consents.clear();
            }
            let known = self.consent_of(py, raw)?;
            self.consents.insert(raw.to_vec(), known);
        }
        let known = self.consents[raw].as_deref();
        Ok(known.map(|text| arena.name(text)))
    }

    /// The restriction of an object that says only yes and no.
    fn consent_of(&self, py: Python, raw: &[u8]) -> PyResult<Option<Vec<u8>>> {
        let mut only_answers = true;
        let mut scanner = Scanner::new(raw);
        let read = scanner.object(|inner, name| {
            let value = inner.value()?;
            only_answers = only_answers && !name.escaped && (value == b"true" || value == b"false");
            Ok(())
        });
        if read.is_err() || !only_answers {
            return Ok(None);
        }
        let stated = self.parse_json.call1(py, (PyBytes::new(py, raw),))?;
        let read = self.read_integrations.call1(py, (stated,))?;
        let (restriction, _, odd): (String, Py<PyAny>, bool) = read.extract(py)?;
        Ok((!odd).then(|| restriction.into_bytes()))
    }

    /// The traits in canonical names and types; None where they need a closer look.
    fn traits(
        &mut self,
        py: Python,
        arena: &mut Arena,
        raw: &[u8],
        warned: &mut Warned,
    ) -> PyResult<Option<Vec<Pair>>> {
        let mut stated: Vec<(&[u8], Span)> = Vec::with_capacity(16);
        let mut scanner = Scanner::new(raw);
        let read = scanner.object(|inner, name| {
            let repeated = stated.iter().any(|one| one.0 == name.raw);
            let long = name.raw.len() > REMEMBERED_BYTES_MAX;
            if name.escaped || long || repeated || stated.len() >= TRAITS_MAX {
                return Err(Odd);
            }
            let mut packed = Ok(());
            let value = arena.written(|out| packed = inner.packed(out));
            stated.push((name.raw, value));
            packed
        });
        if read.is_err() {
            return Ok(None);
        }
        let mut traits: Vec<Pair> = Vec::with_capacity(stated.len());
        for &(name, value) in &stated {
            if !self.rules.contains_key(name) {
                self.learn(py, name)?;
            }
            let rule = &self.rules[name];
            let canonical = arena.name(&rule.canonical);
            if rule.canonical != name {
                let exact = stated.iter().any(|one| one.0 == rule.canonical);
                if exact || traits.iter().any(|one| one.name == canonical) {
                    continue;
                }
            }
            let value = match rule.kept {
                Kept::AsItIs => value,
                Kept::Texts if is_text_or_nil(arena.get(value)) => value,
                _ if arena.get(value) == [0xc0] => value,
                _ => self.converted(py, arena, name, value, warned)?,
            };
            traits.push(Pair { name: canonical, value });
        }
        Ok(Some(traits))
    }

    /// Asks Python what a spelling means.
    fn learn(&mut self, py: Python, name: &[u8]) -> PyResult<()> {
        if self.rules.len() >= MEMO_SIZE {
            self.rules.clear();
        }
        let text = String::from_utf8_lossy(name);
        let canonical = self.canonical_name.call1(py, (text.as_ref(),))?.into_bound(py);
        let canonical = canonical.cast_into::<PyString>()?;
        let kept = if !self.reserved.bind(py).contains(&canonical)? {
            Kept::AsItIs
        } else if self.texts.bind(py).contains(&canonical)? {
            Kept::Texts
        } else {
            Kept::Converted
        };
        let canonical = canonical.to_str()?.as_bytes().to_vec();
        self.rules.insert(name.to_vec(), Rule { canonical, kept });
        Ok(())
    }

    /// A reserved trait's value in its type.
    fn converted(
        &self,
        py: Python,
        arena: &mut Arena,
        name: &[u8],
        value: Span,
        warned: &mut Warned,
    ) -> PyResult<Span> {
        let canonical = String::from_utf8_lossy(&self.rules[name].canonical).into_owned();
        let stated = self.unpack.call1(py, (PyBytes::new(py, arena.get(value)),))?;
        let converted = self.convert.call1(py, (canonical, stated))?;
        let (converted, done): (Py<PyAny>, bool) = converted.extract(py)?;
        warned.trait_type = usize::from(!done || warned.trait_type > 0);
        let packed = self.pack.call1(py, (converted,))?;
        Ok(arena.add(packed.bind(py).cast::<PyBytes>()?.as_bytes()))
    }
}

/// Every literal of a `resolver.core.identifiers.IllegalValues`, lower-cased there.
fn listed_in(illegal: &Bound<PyAny>) -> PyResult<HashSet<Vec<u8>, RandomState>> {
    let mut listed = HashSet::default();
    for literals in illegal.getattr("literals")?.call_method0("values")?.try_iter()? {
        for one in literals?.try_iter()? {
            listed.insert(one?.extract::<String>()?.into_bytes());
        }
    }
    Ok(listed)
}

/// When it happened and when it was received; `ahead` where the clock was so far ahead that it is
/// worth a warning.
struct Times {
    eff: i64,
    recv: i64,
    ahead: bool,
}

/// A value, or None where it is null.
fn stated(value: &[u8]) -> Option<&[u8]> {
    (value != b"null").then_some(value)
}

fn text_or_null<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Text<'a>>, Odd> {
    if scanner.peek()? == b'"' {
        return scanner.string().map(Some);
    }
    if scanner.value()? == b"null" {
        return Ok(None);
    }
    Err(Odd)
}

/// What stands between the quotes of a text that has no escapes.
fn bare_text(raw: &[u8]) -> Option<&[u8]> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!inner.contains(&b'\\')).then_some(inner)
}

/// The messageId, empty where it is no text.
fn message_id(arena: &mut Arena, stated: Option<&[u8]>) -> Result<Span, Odd> {
    match stated {
        Some(raw) if raw.first() == Some(&b'"') => {
            let inner = &raw[1..raw.len() - 1];
            if inner.contains(&b'\\') {
                let plain = json::plain(Text { raw: inner, escaped: true })?;
                return Ok(arena.add(&plain));
            }
            Ok(arena.add(inner))
        }
        _ => Ok(arena.add(b"")),
    }
}

fn name_of(arena: &mut Arena, text: &mut Vec<u8>, kind: &[u8], id: &[u8]) -> Name {
    text.clear();
    text.extend_from_slice(kind);
    text.extend_from_slice(id);
    arena.name(text)
}

/// What else the event says: activity with its context or none, and which device it came from.
fn marks(arena: &mut Arena, members: &Members, anon: Name, identity: Name) -> crate::arena::Pairs {
    let activity = if members.active == Some(b"false") {
        Pair { name: QUIET, value: arena.nil }
    } else {
        let mut seen = Vec::with_capacity(512);
        members.write_seen(&mut seen);
        Pair { name: SEEN, value: arena.shortened(&seen) }
    };
    if anon == NONE || identity == NONE {
        return arena.add_pairs(&[activity]);
    }
    let mut mark = vec![b'a'];
    mark.extend_from_slice(arena.text(anon));
    let device = Pair { name: arena.name(&mark), value: arena.nil };
    arena.add_pairs(&[activity, device])
}

/// An instant that is stated in a usual form and by a clock that was set.
fn instant(raw: &[u8]) -> Option<i64> {
    let instant = match bare_text(raw) {
        Some(text) => usual_instant(text)?,
        None => {
            let digits = raw.len() < 18 && raw.iter().all(u8::is_ascii_digit);
            let number = digits.then(|| std::str::from_utf8(raw).ok()?.parse().ok())??;
            epoch_us(number)?
        }
    };
    (instant >= OLDEST_US).then_some(instant)
}

fn is_word(one: u8) -> bool {
    one.is_ascii_alphanumeric() || one == b'_'
}

/// Whether a text is surely one legal address; see `PLAIN_ADDRESS_FORM`.
fn is_plain_address(text: &[u8]) -> bool {
    let Some(at) = text.iter().position(|&one| one == b'@') else {
        return false;
    };
    let (local, domain) = (&text[..at], &text[at + 1..]);
    let inside = |&one: &u8| is_word(one) || b".:+-".contains(&one);
    let dot = domain.iter().position(|&one| one == b'.');
    local.first().is_some_and(|&one| is_word(one))
        && local.iter().all(inside)
        && domain.iter().all(inside)
        && dot.is_some_and(|dot| dot > 0 && dot + 1 < domain.len())
        && domain.last() != Some(&b'.')
}

fn is_text_or_nil(packed: &[u8]) -> bool {
    matches!(packed.first(), Some(0xa0..=0xbf | 0xd9..=0xdb | 0xc0))
}
