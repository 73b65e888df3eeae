//! Destinations: who may see what, and how their messages are made: of profiles as they are, or of a
//! form that is known here, by native code; of all others by their formatter in Python.

use crate::arena::{Arena, Name, Span, NONE};
use crate::forms::{Form, Written};
use crate::pack;
use crate::profiles::{Envelope, Profile, Revision, Sight};
use crate::records::{Layer, Record};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_64;

/// A `resolver.joining.Target`.
pub struct Target {
    pub name: String,
    /// Its name in the batch under way.
    pub number: Name,
    pub topic: Py<PyString>,
    /// Whether alias events go before a profile.
    pub announces: bool,
    /// Of a destination that takes profiles just as they are.
    pub envelope: Option<Envelope>,
    /// Of one that takes them so in Avro, with what tells the bytes before each record.
    avro: Option<(Envelope, Py<PyAny>)>,
    /// Of one that takes them in a form of its own, which is known here.
    pub form: Option<Form>,
    pub sights: Sights,
    /// Whether messages and digests say who became part of a profile.
    tells_merged: bool,
    formatter: Py<PyAny>,
    audience: Py<PyAny>,
}

/// What an audience may see, by the numbers of restrictions: None where nobody has asked yet.
/// Whoever folds for it has had `look` ask before; what was not asked is not shown.
#[derive(Default)]
pub struct Sights(Vec<Option<bool>>);

impl Sights {
    /// Asks a `resolver.core.consent.Audience` what is not known of these restrictions.
    pub fn look(
        &mut self,
        audience: &Bound<PyAny>,
        arena: &Arena,
        restrictions: &[Name],
    ) -> PyResult<()> {
        for &one in restrictions {
            let place = one as usize;
            if self.0.len() <= place {
                self.0.resize(place + 1, None);
            }
            if self.0[place].is_none() {
                let text = String::from_utf8_lossy(arena.text(one));
                let may = audience.call_method1("may_see", (text.as_ref(),))?;
                self.0[place] = Some(may.extract()?);
            }
        }
        Ok(())
    }
}

impl Sight for Sights {
    fn may_see(&self, restriction: Name) -> bool {
        self.0.get(restriction as usize).copied().flatten().unwrap_or(false)
    }
}

/// A profile and, once somebody needs it, the same as an object of Python: made once for all
/// destinations that see the same and have a formatter.
pub struct Seen {
    pub profile: Profile,
    object: OnceLock<Py<PyAny>>,
}

impl Seen {
    pub fn new(profile: Profile) -> Seen {
        Seen { profile, object: OnceLock::new() }
    }
}

/// All of a payload that a digest covers.
pub enum Stable {
    Written(Vec<u8>),
    Formatted(Py<PyBytes>),
}

/// What makes Python's objects of profiles and revisions.
pub struct Makers {
    profile: Py<PyAny>,
    revision: Py<PyAny>,
    unpack: Py<PyAny>,
}

impl Makers {
    pub fn new(py: Python) -> PyResult<Makers> {
        Ok(Makers {
            profile: py.import("resolver.core.profiles")?.getattr("Profile")?.unbind(),
            revision: py.import("resolver.ports")?.getattr("Revision")?.unbind(),
            unpack: py.import("msgspec.msgpack")?.getattr("decode")?.unbind(),
        })
    }

    fn text<'py>(&self, py: Python<'py>, arena: &Arena, span: Span) -> Bound<'py, PyString> {
        PyString::new(py, &String::from_utf8_lossy(arena.get(span)))
    }

    fn names<'py>(
        &self,
        py: Python<'py>,
        arena: &Arena,
        names: &[Name],
    ) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, names.iter().map(|&one| self.text(py, arena, arena.span_of(one))))
    }

    fn texts<'py>(
        &self,
        py: Python<'py>,
        arena: &Arena,
        spans: &[Span],
    ) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, spans.iter().map(|&one| self.text(py, arena, one)))
    }

    /// The profile as Python's formatters take it.
    fn object<'a>(&self, py: Python, arena: &Arena, seen: &'a Seen) -> PyResult<&'a Py<PyAny>> {
        if seen.object.get().is_none() {
            let made = self.profile_of(py, arena, &seen.profile)?;
            let _ = seen.object.set(made);
        }
        Ok(seen.object.get().expect("set above"))
    }

    fn profile_of(&self, py: Python, arena: &Arena, profile: &Profile) -> PyResult<Py<PyAny>> {
        let mut packed = Vec::with_capacity(256);
        pack::map_header(&mut packed, profile.traits.len());
        for one in &profile.traits {
            pack::text(&mut packed, arena.text(one.name));
            packed.extend_from_slice(arena.get(one.value));
        }
        let traits = self.unpack.bind(py).call1((PyBytes::new(py, &packed),))?;
        let options = PyDict::new(py);
        for &(key, value) in &profile.options {
            let key = self.text(py, arena, arena.span_of(key));
            options.set_item(key, self.value(py, arena, value)?)?;
        }
        let id = self.text(py, arena, arena.span_of(profile.id));
        let made = self.profile.bind(py).call1((id, traits))?;
        made.setattr(intern!(py, "anonymous_ids"), self.texts(py, arena, &profile.anonymous_ids)?)?;
        let anonymous_id = profile.anonymous_id.map(|one| self.text(py, arena, one));
        made.setattr(intern!(py, "anonymous_id"), anonymous_id)?;
        made.setattr(intern!(py, "emails"), self.texts(py, arena, &profile.emails)?)?;
        made.setattr(intern!(py, "first_seen_us"), profile.first_seen)?;
        made.setattr(intern!(py, "last_seen_us"), profile.last_seen)?;
        if let Some(context) = profile.context {
            made.setattr(intern!(py, "context"), PyBytes::new(py, arena.get(context)))?;
        }
        made.setattr(intern!(py, "options"), options)?;
        made.setattr(intern!(py, "merged"), self.names(py, arena, &profile.merged)?)?;
        Ok(made.unbind())
    }

    fn value<'py>(
        &self,
        py: Python<'py>,
        arena: &Arena,
        value: Span,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.unpack.bind(py).call1((PyBytes::new(py, arena.get(value)),))
    }

    fn revision<'py>(
        &self,
        py: Python<'py>,
        arena: &Arena,
        said: &Revision,
    ) -> PyResult<Bound<'py, PyAny>> {
        let names = |names: Option<&[Name]>| match names {
            Some(names) => self.names(py, arena, names).map(Some),
            None => Ok(None),
        };
        self.revision.bind(py).call1((
            said.version,
            self.names(py, arena, said.merged)?,
            names(said.changed)?,
            names(said.removed)?,
            String::from_utf8_lossy(said.caused_by).as_ref(),
        ))
    }
}

impl Target {
    pub fn new(target: &Bound<PyAny>) -> PyResult<Target> {
        let envelope: Option<(String, Vec<String>)> = target.getattr("envelope")?.extract()?;
        let recipe = target.getattr("recipe")?;
        let avro: Option<(String, Vec<String>, Py<PyAny>)> = target.getattr("avro")?.extract()?;
        Ok(Target {
            form: if recipe.is_none() { None } else { Some(Form::new(&recipe)?) },
            name: target.getattr("name")?.extract()?,
            number: NONE,
            topic: target.getattr("topic")?.cast_into::<PyString>()?.unbind(),
            announces: target.getattr("announces")?.extract()?,
            envelope: envelope.map(|(name, keys)| Envelope { name, keys }),
            avro: avro.map(|(name, keys, head)| (Envelope { name, keys }, head)),
            sights: Sights::default(),
            tells_merged: target.getattr("tells_merged")?.extract()?,
            formatter: target.getattr("formatter")?.unbind(),
            audience: target.getattr("audience")?.unbind(),
        })
    }

    /// Forgets what the last batch's numbers meant.
    pub fn begin(&mut self, arena: &mut Arena) {
        self.number = arena.name(self.name.as_bytes());
        self.sights.0.clear();
    }

    /// Learns whether these restrictions may be seen; afterwards `sights` knows.
    pub fn look(&mut self, py: Python, arena: &Arena, restrictions: &[Name]) -> PyResult<()> {
        self.sights.look(self.audience.bind(py), arena, restrictions)
    }

    /// What a digest covers of a profile's payload; None where the destination does not take it.
    pub fn stable(
        &mut self,
        py: Python,
        arena: &Arena,
        makers: &Makers,
        seen: &Seen,
    ) -> PyResult<Option<Stable>> {
        let mut out = Vec::with_capacity(1_024);
        if let Some(envelope) = &self.envelope {
            let written = arena.write_stable(&mut out, &seen.profile, envelope);
            return match written {
                Ok(()) => Ok(Some(Stable::Written(out))),
                Err(_) => Err(no_state(py)),
            };
        }
        if let Some((envelope, _)) = &self.avro {
            match arena.write_record(&mut out, &seen.profile, envelope) {
                Ok(true) => return Ok(Some(Stable::Written(out))),
                Ok(false) => {}
                Err(_) => return Err(no_state(py)),
            }
        }
        if let Some(form) = &mut self.form {
            match form.write(py, arena, &seen.profile, &mut out)? {
                Written::Done => return Ok(Some(Stable::Written(out))),
                Written::NotSent => return Ok(None),
                Written::Odd => {}
            }
        }
        let object = makers.object(py, arena, seen)?;
        let made = self.formatter.bind(py).call_method1(intern!(py, "stable"), (object,))?;
        if made.is_none() {
            return Ok(None);
        }
        Ok(Some(Stable::Formatted(made.cast_into::<PyBytes>()?.unbind())))
    }

    /// Tells a payload, and who is part of it, from every other under its key.
    pub fn digest(&self, py: Python, arena: &Arena, stable: &Stable, seen: &Seen) -> [u8; 8] {
        let payload = match stable {
            Stable::Written(bytes) => bytes.as_slice(),
            Stable::Formatted(bytes) => bytes.bind(py).as_bytes(),
        };
        let merged = &seen.profile.merged;
        if merged.is_empty() || !self.tells_merged {
            return xxh3_64(payload).to_be_bytes();
        }
        let mut whole = payload.to_vec();
        for (place, &one) in merged.iter().enumerate() {
            if place > 0 {
                whole.push(0);
            }
            whole.extend_from_slice(arena.text(one));
        }
        xxh3_64(&whole).to_be_bytes()
    }

    /// The message of a payload: what it says of its change is added.
    pub fn message<'py>(
        &mut self,
        py: Python<'py>,
        arena: &Arena,
        makers: &Makers,
        output: (&Stable, &Seen),
        said: &Revision,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (stable, seen) = output;
        let stable = match stable {
            Stable::Formatted(bytes) => bytes.clone_ref(py),
            Stable::Written(bytes) if self.form.as_ref().is_some_and(|one| one.says_more(said)) => {
                PyBytes::new(py, bytes).unbind()
            }
            Stable::Written(bytes) => {
                let merged: &[Name] = if self.tells_merged { said.merged } else { &[] };
                let said = Revision { merged, ..*said };
                let mut out = Vec::with_capacity(bytes.len() + 256);
                if let Some((_, head)) = &self.avro {
                    out.extend_from_slice(head.bind(py).call0()?.cast::<PyBytes>()?.as_bytes());
                    out.extend_from_slice(bytes);
                    arena.write_record_end(&mut out, seen.profile.id, &said);
                    return Ok(PyBytes::new(py, &out).into_any());
                }
                let (changed, removed) = match &mut self.form {
                    None => (arena.texts_of(said.changed), arena.texts_of(said.removed)),
                    Some(form) => (
                        form.called(py, arena, said.changed)?,
                        form.called(py, arena, said.removed)?,
                    ),
                };
                let names = [changed.as_deref(), removed.as_deref()];
                arena.write_message(&mut out, bytes, seen.profile.id, &said, names);
                return Ok(PyBytes::new(py, &out).into_any());
            }
        };
        let object = makers.object(py, arena, seen)?;
        let revision = makers.revision(py, arena, said)?;
        let arguments = (stable, object, revision);
        self.formatter.bind(py).call_method1(intern!(py, "finish"), arguments)
    }

    /// The alias events that go before a profile.
    pub fn aliases<'py>(
        &self,
        py: Python<'py>,
        arena: &Arena,
        makers: &Makers,
        seen: &Seen,
        said: &Revision,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let object = makers.object(py, arena, seen)?;
        let revision = makers.revision(py, arena, said)?;
        let made =
            self.formatter.bind(py).call_method1(intern!(py, "aliases"), (object, revision))?;
        made.try_iter()?.collect()
    }
}

/// Every restriction that some write of the record came with.
pub fn restrictions_of(record: &Record) -> Vec<Name> {
    let mut found = Vec::new();
    let mut add = |restriction: Name| {
        if !found.contains(&restriction) {
            found.push(restriction);
        }
    };
    let mut add_layer = |layer: &Layer| {
        layer.statements.iter().for_each(|one| add(one.restriction));
        layer.first.iter().for_each(|one| add(one.0));
    };
    match record {
        Record::Device(device) => device.statements.iter().for_each(|one| add(one.restriction)),
        Record::Person(person) => {
            add_layer(&person.own);
            for (_, one) in &person.sources {
                add_layer(&one.identified);
                add_layer(&one.anonymous);
            }
        }
    }
    found
}

/// The error that a stored state deserves which is none; the sentence is Python's.
pub fn no_state(py: Python) -> PyErr {
    resolver_error(py, "a stored state is no state of the resolver: is the key prefix shared?")
}

/// The error that ends the process: nothing that a worker could wait for.
pub fn resolver_error(py: Python, sentence: &str) -> PyErr {
    error_of(py, "ResolverError", sentence)
}

/// An error of `resolver.errors`, by its class's name.
pub fn error_of(py: Python, kind: &str, sentence: &str) -> PyErr {
    let made = py
        .import("resolver.errors")
        .and_then(|errors| errors.getattr(kind))
        .and_then(|kind| kind.call1((sentence,)));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
