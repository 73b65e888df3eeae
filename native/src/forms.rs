//! A destination's form: its payloads written straight from a profile, by what a
//! `resolver.destinations.recipe.Recipe` says. Values that are no matter of course are asked for one
//! by one, and remembered; profiles that are none are left to the formatter in Python.

use crate::arena::{Arena, Name, Span, EMAIL_TRAIT};
use crate::json;
use crate::pack::{self, Reader};
use crate::profiles::{Envelope, Profile, Revision, Shaped};
use crate::targets::no_state;
use crate::times::write_iso;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};
use std::ops::Range;

/// Values, ids and traits' names remembered of one destination, each; emptied then. Most of what must
/// be asked about is one of few values, or was never met.
const MEMO_SIZE: usize = 4_096;
/// The longest value that is remembered, with its trait's name.
const REMEMBERED_BYTES_MAX: usize = 512;
const ROOT: usize = 0;

type Memo<Value> = HashMap<Vec<u8>, Value, RandomState>;
/// A field: the number of its object, its name as JSON.
type Place = (usize, Vec<u8>);

/// The same as Python states it, with its value as JSON.
type Stated = (usize, String, PyBackedBytes);

/// An id as Python states it: path, source, conversion, and what goes beside it.
type StatedId = (Vec<String>, String, Py<PyAny>, Vec<(Vec<String>, PyBackedBytes)>);

/// What became of a profile.
pub enum Written {
    Done,
    /// The destination does not take it.
    NotSent,
    /// It needs a closer look.
    Odd,
}

enum EmailUserId {
    Send,
    Drop,
    AsTrait,
}

/// Where a trait goes, and which values go there as they are: `resolver.destinations.forms.Keeps`.
struct Plan {
    place: Place,
    text: usize,
    dates: bool,
    numbers: bool,
    booleans: bool,
    others: bool,
}

/// What became of one value: fields as JSON, and what was left out, by numbers of reasons.
struct Placed {
    fields: Vec<(Place, Vec<u8>)>,
    reasons: Vec<(usize, usize)>,
}

/// What of a profile an id is made of, or what else goes among the traits.
enum Source {
    UserId,
    DatabaseId,
    AnonymousId,
    FirstSeen,
    LastSeen,
    Trait(Vec<u8>),
}

/// A field, and the one within it where it is an object; names as JSON.
type Path = (Vec<u8>, Option<Vec<u8>>);

struct IdRule {
    path: Path,
    source: Source,
    converts: bool,
    beside: Vec<(Path, Vec<u8>)>,
}

/// Something that is no trait, among the traits.
struct Also {
    place: Place,
    source: Source,
    converts: bool,
}

/// The value of an id, or the ids within one.
enum Id {
    Value(Vec<u8>),
    Inner(Object),
}

/// A field of which one of several alternatives must be filled.
struct Required {
    of_identity: bool,
    key: Vec<u8>,
}

/// The members of an object, written one after the other.
#[derive(Default)]
struct Object {
    json: Vec<u8>,
    members: Vec<(Range<usize>, Range<usize>)>,
}

/// See the head of this module.
pub struct Form {
    recipe: Py<PyAny>,
    envelope: Envelope,
    drops_anonymous: bool,
    email_user_id: EmailUserId,
    sends_context: bool,
    sends_emails: bool,
    only_changes: bool,
    tells_removed: bool,
    renames: bool,
    ample_bytes: usize,
    derived: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    identity: Option<Vec<IdRule>>,
    first_only: bool,
    requires: Vec<Vec<Required>>,
    also: Vec<Also>,
    defaults: Vec<(Place, Vec<u8>)>,
    parents: Vec<(usize, Place)>,
    bucket: usize,
    bucket_most: usize,
    plans: Memo<Plan>,
    placed: Memo<Placed>,
    ids: Memo<Option<Vec<u8>>>,
    names: Memo<Vec<Vec<u8>>>,
    reasons: Vec<String>,
    /// How often each reason came up since they were last told; and in the profile under way.
    left_out: Vec<usize>,
    left_out_here: Vec<(usize, usize)>,
    objects: Vec<Object>,
    ids_found: Object,
}

impl Form {
    pub fn new(recipe: &Bound<PyAny>) -> PyResult<Form> {
        let flag = |name: &str| -> PyResult<bool> { recipe.getattr(name)?.extract() };
        let number = |name: &str| -> PyResult<usize> { recipe.getattr(name)?.extract() };
        let email_user_id: String = recipe.getattr("email_user_id")?.extract()?;
        let derived: Vec<(String, Vec<String>)> = recipe.getattr("derived")?.extract()?;
        let identity: Option<Vec<StatedId>> = recipe.getattr("identity")?.extract()?;
        let also: Vec<(usize, String, String, Py<PyAny>)> = recipe.getattr("also")?.extract()?;
        let requires: Vec<Vec<(String, String)>> = recipe.getattr("requires")?.extract()?;
        let defaults: Vec<Stated> = recipe.getattr("defaults")?.extract()?;
        let parents: Vec<(usize, usize, String)> = recipe.getattr("parents")?.extract()?;
        let py = recipe.py();
        let id_rule = |(path, source, convert, beside): StatedId| IdRule {
            path: path_of(&path),
            source: source_of(&source),
            converts: !convert.is_none(py),
            beside: beside.iter().map(|(path, json)| (path_of(path), json.to_vec())).collect(),
        };
        let required = |(section, name): (String, String)| Required {
            of_identity: section == "identity",
            key: key_of(&name),
        };
        let bytes = |texts: Vec<String>| texts.into_iter().map(String::into_bytes).collect();
        Ok(Form {
            envelope: Envelope {
                name: recipe.getattr("name")?.extract()?,
                keys: recipe.getattr("keys")?.extract()?,
            },
            drops_anonymous: flag("drops_anonymous")?,
            email_user_id: match email_user_id.as_str() {
                "send" => EmailUserId::Send,
                "drop" => EmailUserId::Drop,
                _ => EmailUserId::AsTrait,
            },
            sends_context: flag("sends_context")?,
            sends_emails: flag("sends_emails")?,
            only_changes: flag("only_changes")?,
            tells_removed: flag("tells_removed")?,
            renames: !recipe.getattr("names")?.is_none(),
            ample_bytes: number("ample_bytes")?,
            derived: derived.into_iter().map(|(to, of)| (to.into_bytes(), bytes(of))).collect(),
            identity: identity.map(|rules| rules.into_iter().map(id_rule).collect()),
            first_only: flag("first_only")?,
            requires: requires
                .into_iter()
                .map(|one| one.into_iter().map(required).collect())
                .collect(),
            defaults: defaults
                .into_iter()
                .map(|(object, name, value)| ((object, key_of(&name)), value.to_vec()))
                .collect(),
            objects: (0..=parents.len()).map(|_| Object::default()).collect(),
            also: also
                .into_iter()
                .map(|(object, name, source, convert)| Also {
                    place: (object, key_of(&name)),
                    source: source_of(&source),
                    converts: !convert.is_none(py),
                })
                .collect(),
            parents: parents
                .into_iter()
                .map(|(object, parent, name)| (object, (parent, key_of(&name))))
                .collect(),
            bucket: number("bucket")?,
            bucket_most: number("bucket_most")?,
            recipe: recipe.clone().unbind(),
            plans: HashMap::default(),
            placed: HashMap::default(),
            ids: HashMap::default(),
            names: HashMap::default(),
            reasons: Vec::new(),
            left_out: Vec::new(),
            left_out_here: Vec::new(),
            ids_found: Object::default(),
        })
    }

    /// The stable payload of a profile.
    pub fn write(
        &mut self,
        py: Python,
        arena: &Arena,
        profile: &Profile,
        out: &mut Vec<u8>,
    ) -> PyResult<Written> {
        self.left_out_here.clear();
        let written = self.write_payload(py, arena, profile, out)?;
        if !matches!(written, Written::Odd) {
            for &(reason, times) in &self.left_out_here {
                self.left_out[reason] += times;
            }
        }
        Ok(written)
    }

    fn write_payload(
        &mut self,
        py: Python,
        arena: &Arena,
        profile: &Profile,
        out: &mut Vec<u8>,
    ) -> PyResult<Written> {
        let mut user_id = arena.user_id_of(profile.id);
        if user_id.is_none() && self.drops_anonymous {
            self.count("anonymous", 1);
            return Ok(Written::NotSent);
        }
        let mut address = None;
        if arena.text(profile.id).starts_with(b"email:") {
            match self.email_user_id {
                EmailUserId::Send => {}
                EmailUserId::Drop => {
                    self.count("email_user_id", 1);
                    return Ok(Written::NotSent);
                }
                EmailUserId::AsTrait => address = user_id.take(),
            }
        }
        if self.may_derive(arena, profile) || !self.place_all(py, arena, profile, address)? {
            return Ok(Written::Odd);
        }
        if self.objects[self.bucket].members.len() > self.bucket_most || !self.nest() {
            return Ok(Written::Odd);
        }
        self.identify(py, arena, profile, address)?;
        if !self.has_required() {
            self.count("required", 1);
            return Ok(Written::NotSent);
        }
        let shaped = Shaped {
            user_id,
            traits: Some(&self.objects[ROOT].json),
            context: self.sends_context,
            identity: self.identity.as_ref().map(|_| self.ids_found.json.as_slice()),
            emails: self.sends_emails,
        };
        arena.write_payload(out, profile, &self.envelope, &shaped).map_err(|_| no_state(py))?;
        Ok(if out.len() > self.ample_bytes { Written::Odd } else { Written::Done })
    }

    /// Whether a trait is missing that may be made of others.
    fn may_derive(&self, arena: &Arena, profile: &Profile) -> bool {
        let stated = |name: &[u8]| profile.traits.iter().find(|one| arena.text(one.name) == name);
        self.derived.iter().any(|(name, of)| {
            let missing = stated(name).is_none_or(|one| arena.get(one.value) == [0xa0]);
            missing && of.iter().any(|source| stated(source).is_some())
        })
    }

    /// Every trait in its object, under its name there; false where two want the same field. An
    /// `address` is sent as the first trait, with the value of `email` where that is stated.
    fn place_all(
        &mut self,
        py: Python,
        arena: &Arena,
        profile: &Profile,
        address: Option<Span>,
    ) -> PyResult<bool> {
        self.objects.iter_mut().for_each(Object::clear);
        if let Some(address) = address {
            let stated = profile.traits.iter().find(|one| one.name == EMAIL_TRAIT);
            let mut packed = Vec::new();
            match stated {
                Some(one) => packed.extend_from_slice(arena.get(one.value)),
                None => pack::text(&mut packed, arena.get(address)),
            }
            if !self.place(py, b"email", &packed)? {
                return Ok(false);
            }
        }
        for one in &profile.traits {
            let first = address.is_some() && one.name == EMAIL_TRAIT;
            if !first && !self.place(py, arena.text(one.name), arena.get(one.value))? {
                return Ok(false);
            }
        }
        for number in 0..self.also.len() {
            if !self.complement(py, arena, profile, address, number)? {
                return Ok(false);
            }
        }
        for ((object, key), value) in &self.defaults {
            self.objects[*object].put(key, value);
        }
        Ok(true)
    }

    /// Something that is no trait; false where its field is taken.
    fn complement(
        &mut self,
        py: Python,
        arena: &Arena,
        profile: &Profile,
        address: Option<Span>,
        number: usize,
    ) -> PyResult<bool> {
        let Also { place: (object, key), source, converts } = &self.also[number];
        let Some(found) = source.of(arena, profile, address) else { return Ok(true) };
        let json = if *converts {
            let asked = (number, String::from_utf8_lossy(&found));
            let made = self.recipe.bind(py).call_method1(intern!(py, "complement"), asked)?;
            let Some(made) = made.extract::<Option<PyBackedBytes>>()? else { return Ok(true) };
            made.to_vec()
        } else {
            text_as_json(&found)
        };
        Ok(self.objects[*object].put(key, &json))
    }

    fn place(&mut self, py: Python, name: &[u8], value: &[u8]) -> PyResult<bool> {
        if !self.plans.contains_key(name) {
            self.learn(py, name)?;
        }
        let plan = &self.plans[name];
        if plan.keeps(value) {
            let (object, key) = &plan.place;
            return self.objects[*object].put_packed(key, value).map_err(|_| no_state(py));
        }
        let mut asked = Vec::with_capacity(4 + name.len() + value.len());
        asked.extend_from_slice(&(name.len() as u32).to_be_bytes());
        asked.extend_from_slice(name);
        asked.extend_from_slice(value);
        if let Some(known) = self.placed.get(&asked) {
            self.left_out_here.extend_from_slice(&known.reasons);
            return Ok(known.put(&mut self.objects));
        }
        let made = self.converted(py, name, value)?;
        self.left_out_here.extend_from_slice(&made.reasons);
        let put = made.put(&mut self.objects);
        if asked.len() <= REMEMBERED_BYTES_MAX {
            remember(&mut self.placed, asked, made);
        }
        Ok(put)
    }

    /// Asks Python where a trait goes.
    fn learn(&mut self, py: Python, name: &[u8]) -> PyResult<()> {
        let text = String::from_utf8_lossy(name);
        let plan = self.recipe.bind(py).call_method1("plan", (text.as_ref(),))?;
        let (object, field, keeps): (usize, String, (usize, bool, bool, bool, bool)) =
            plan.extract()?;
        let (text, dates, numbers, booleans, others) = keeps;
        let place = (object, key_of(&field));
        let plan = Plan { place, text, dates, numbers, booleans, others };
        remember(&mut self.plans, name.to_vec(), plan);
        Ok(())
    }

    /// Asks Python what becomes of a value.
    fn converted(&mut self, py: Python, name: &[u8], value: &[u8]) -> PyResult<Placed> {
        let text = String::from_utf8_lossy(name);
        let asked = (text.as_ref(), PyBytes::new(py, value));
        let made = self.recipe.bind(py).call_method1(intern!(py, "placed"), asked)?;
        let (fields, reasons): (Vec<Stated>, Vec<(String, usize)>) = made.extract()?;
        let field = |(object, name, json): Stated| ((object, key_of(&name)), json.to_vec());
        let reasons = reasons.iter().map(|(reason, times)| (self.reason(reason), *times)).collect();
        Ok(Placed { fields: fields.into_iter().map(field).collect(), reasons })
    }

    /// Puts inner objects, innermost first, into those they lie in; false where a field has the name.
    fn nest(&mut self) -> bool {
        for (object, (parent, key)) in &self.parents {
            if self.objects[*object].members.is_empty() {
                continue;
            }
            let whole = self.objects[*object].whole();
            if !self.objects[*parent].put(key, &whole) {
                return false;
            }
        }
        true
    }

    /// Every id that is found; the first of several for one field.
    fn identify(
        &mut self,
        py: Python,
        arena: &Arena,
        profile: &Profile,
        address: Option<Span>,
    ) -> PyResult<()> {
        self.ids_found.clear();
        let Some(rules) = &self.identity else { return Ok(()) };
        let mut ids: Vec<(&[u8], Id)> = Vec::with_capacity(rules.len());
        for (number, rule) in rules.iter().enumerate() {
            let Some(found) = rule.source.of(arena, profile, address) else { continue };
            let json = if rule.converts {
                let mut asked = number.to_be_bytes().to_vec();
                asked.extend_from_slice(&found);
                if !self.ids.contains_key(&asked) {
                    let arguments = (number, String::from_utf8_lossy(&found));
                    let made = self.recipe.bind(py).call_method1("identify", arguments)?;
                    let made: Option<PyBackedBytes> = made.extract()?;
                    remember(&mut self.ids, asked.clone(), made.map(|one| one.to_vec()));
                }
                let Some(json) = &self.ids[&asked] else { continue };
                json.clone()
            } else {
                text_as_json(&found)
            };
            put_id(&mut ids, &rule.path, json);
            for (path, text) in &rule.beside {
                put_id(&mut ids, path, text.clone());
            }
            if self.first_only {
                break;
            }
        }
        for (key, id) in ids {
            match id {
                Id::Value(json) => self.ids_found.put(key, &json),
                Id::Inner(object) => self.ids_found.put(key, &object.whole()),
            };
        }
        Ok(())
    }

    fn has_required(&self) -> bool {
        let is_there = |one: &Required| {
            let object = if one.of_identity { &self.ids_found } else { &self.objects[ROOT] };
            object.value(&one.key).is_some_and(|json| !is_nothing(json))
        };
        self.requires.iter().all(|alternatives| alternatives.iter().any(is_there))
    }

    /// Whether the formatter must write this message, as it says more of the change than a revision.
    pub fn says_more(&self, said: &Revision) -> bool {
        let removes = said.removed.is_some_and(|names| !names.is_empty());
        (self.only_changes && said.changed.is_some()) || (self.tells_removed && removes)
    }

    /// The paths of the fields that traits fill: as they come for one trait, else sorted.
    pub fn called(
        &mut self,
        py: Python,
        arena: &Arena,
        traits: Option<&[Name]>,
    ) -> PyResult<Option<Vec<Vec<u8>>>> {
        let Some(traits) = traits else { return Ok(None) };
        let mut paths: Vec<Vec<u8>> = Vec::with_capacity(traits.len());
        for &one in traits {
            let name = arena.text(one);
            if !self.renames {
                paths.push(name.to_vec());
                continue;
            }
            if !self.names.contains_key(name) {
                let asked = PyList::new(py, [String::from_utf8_lossy(name).as_ref()])?;
                let found = self.recipe.bind(py).getattr("names")?.call1((asked,))?;
                let found: Vec<String> = found.extract()?;
                let found = found.into_iter().map(String::into_bytes).collect();
                remember(&mut self.names, name.to_vec(), found);
            }
            paths.extend_from_slice(&self.names[name]);
        }
        if self.renames && traits.len() != 1 {
            paths.sort();
            paths.dedup();
        }
        Ok(Some(paths))
    }

    /// Tells the recipe what was left out since it was last told.
    pub fn tell_left_out(&mut self, py: Python) -> PyResult<()> {
        for (reason, times) in self.reasons.iter().zip(&mut self.left_out) {
            if *times > 0 {
                self.recipe.bind(py).call_method1("count", (reason, *times))?;
                *times = 0;
            }
        }
        Ok(())
    }

    fn count(&mut self, reason: &str, times: usize) {
        let reason = self.reason(reason);
        self.left_out_here.push((reason, times));
    }

    /// The number of a reason.
    fn reason(&mut self, reason: &str) -> usize {
        if let Some(known) = self.reasons.iter().position(|one| one == reason) {
            return known;
        }
        self.reasons.push(reason.to_owned());
        self.left_out.push(0);
        self.reasons.len() - 1
    }
}

impl Plan {
    /// Whether a value surely goes as it is. Who may have to look at dates is asked about any text
    /// that has a hyphen where a date has its first.
    fn keeps(&self, value: &[u8]) -> bool {
        match value.first() {
            Some(0xa0..=0xbf | 0xd9..=0xdb) => text_of(value).is_some_and(|text| {
                let may_be_date = text.len() > 9 && text[4] == b'-';
                (1..=self.text).contains(&text.len()) && (self.dates || !may_be_date)
            }),
            Some(0xc2 | 0xc3) => self.booleans,
            Some(0x00..=0x7f | 0xe0..=0xff | 0xca..=0xd3) => self.numbers,
            Some(0x80..=0x9f | 0xdc..=0xdf) => self.others,
            _ => false,
        }
    }
}

impl Placed {
    /// False where one of the fields is taken.
    fn put(&self, objects: &mut [Object]) -> bool {
        self.fields.iter().all(|((object, key), json)| objects[*object].put(key, json))
    }
}

impl Object {
    fn clear(&mut self) {
        self.json.clear();
        self.members.clear();
    }

    /// The object as JSON.
    fn whole(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.json.len() + 2);
        json.push(b'{');
        json.extend_from_slice(&self.json);
        json.push(b'}');
        json
    }

    fn value(&self, key: &[u8]) -> Option<&[u8]> {
        let found = self.members.iter().find(|(name, _)| self.json[name.clone()] == *key);
        found.map(|(_, value)| &self.json[value.clone()])
    }

    /// Adds a member; false, and nothing happens, where there is one of the name.
    fn put(&mut self, key: &[u8], value: &[u8]) -> bool {
        if self.value(key).is_some() {
            return false;
        }
        let name = self.begin(key);
        self.json.extend_from_slice(value);
        self.end(name);
        true
    }

    /// The same of a value in MessagePack.
    fn put_packed(&mut self, key: &[u8], value: &[u8]) -> Result<bool, pack::Malformed> {
        if self.value(key).is_some() {
            return Ok(false);
        }
        let name = self.begin(key);
        json::write_packed(&mut self.json, value)?;
        self.end(name);
        Ok(true)
    }

    fn begin(&mut self, key: &[u8]) -> Range<usize> {
        if !self.members.is_empty() {
            self.json.push(b',');
        }
        let start = self.json.len();
        self.json.extend_from_slice(key);
        self.json.push(b':');
        start..start + key.len()
    }

    fn end(&mut self, name: Range<usize>) {
        let value = name.end + 1..self.json.len();
        self.members.push((name, value));
    }
}

impl Source {
    /// What there is of it in a profile, if anything; `address` is the trait `email` where none is
    /// stated.
    fn of(&self, arena: &Arena, profile: &Profile, address: Option<Span>) -> Option<Vec<u8>> {
        let text = match self {
            Source::UserId => arena.get(arena.user_id_of(profile.id)?),
            Source::DatabaseId if !arena.text(profile.id).starts_with(b"user:") => return None,
            Source::DatabaseId => arena.get(arena.user_id_of(profile.id)?),
            Source::AnonymousId => arena.get(profile.anonymous_id?),
            Source::FirstSeen => return instant_of(profile.first_seen),
            Source::LastSeen => return instant_of(profile.last_seen),
            Source::Trait(name) => {
                let stated = profile.traits.iter().find(|one| arena.text(one.name) == *name);
                match stated {
                    Some(one) => text_of(arena.get(one.value))?,
                    None if name == b"email" => arena.get(address?),
                    None => return None,
                }
            }
        };
        (!text.is_empty()).then(|| text.to_vec())
    }
}

fn source_of(name: &str) -> Source {
    match name {
        "user_id" => Source::UserId,
        "database_id" => Source::DatabaseId,
        "anonymous_id" => Source::AnonymousId,
        "first_seen" => Source::FirstSeen,
        "last_seen" => Source::LastSeen,
        name => Source::Trait(name.into()),
    }
}

fn instant_of(instant: Option<i64>) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(32);
    write_iso(&mut text, instant?).then_some(text)
}

/// Sets an id, unless there is one already.
fn put_id<'a>(ids: &mut Vec<(&'a [u8], Id)>, (key, inner): &'a Path, json: Vec<u8>) {
    let known = ids.iter_mut().find(|one| one.0 == key.as_slice());
    match (known, inner) {
        (Some((_, Id::Inner(object))), Some(inner)) => {
            object.put(inner, &json);
        }
        (Some(_), _) => {}
        (None, None) => ids.push((key, Id::Value(json))),
        (None, Some(inner)) => {
            let mut object = Object::default();
            object.put(inner, &json);
            ids.push((key, Id::Inner(object)));
        }
    }
}

fn path_of(names: &[String]) -> Path {
    (key_of(&names[0]), names.get(1).map(|name| key_of(name)))
}

/// A name as JSON.
fn key_of(name: &str) -> Vec<u8> {
    text_as_json(name.as_bytes())
}

fn text_as_json(text: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(text.len() + 2);
    json::write_text(&mut json, text);
    json
}

fn text_of(packed: &[u8]) -> Option<&[u8]> {
    let (start, end) = Reader::new(packed).text().ok()?;
    Some(&packed[start..end])
}

/// Whether Python takes a value for false.
fn is_nothing(json: &[u8]) -> bool {
    matches!(json, b"null" | b"false" | b"0" | b"-0" | b"0.0" | b"-0.0" | b"\"\"" | b"[]" | b"{}")
}

fn remember<Value>(memo: &mut Memo<Value>, key: Vec<u8>, value: Value) {
    if memo.len() >= MEMO_SIZE {
        memo.clear();
    }
    memo.insert(key, value);
}
