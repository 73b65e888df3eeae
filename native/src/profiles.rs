//! What one audience sees of a record, and its message for a destination that takes profiles as
//! they are. The folds are those of `resolver.core.profiles`, the bytes those of
//! `resolver.edges.json_format` with a specification that changes nothing.

use crate::arena::{
    Arena, Name, Pair, Span, EMAIL_TRAIT, FIRST_NAME, LAST_NAME, NAME, QUIET, SEEN,
};
use crate::json;
use crate::pack::{self, Malformed, Reader};
use crate::records::{Contribution, Device, Layer, Person, Record, Statement};
use crate::times::write_iso;

/// Which restrictions an audience may see, by their numbers.
pub trait Sight {
    fn may_see(&self, restriction: Name) -> bool;
}

/// A person as one audience sees them; traits sorted by name, instants in microseconds.
pub struct Profile {
    pub id: Name,
    pub traits: Vec<Pair>,
    pub anonymous_ids: Vec<Span>,
    pub anonymous_id: Option<Span>,
    pub emails: Vec<Span>,
    pub first_seen: Option<i64>,
    pub last_seen: Option<i64>,
    pub context: Option<Span>,
    pub options: Vec<(Name, Span)>,
    pub merged: Vec<Name>,
}

impl Profile {
    fn new(id: Name, traits: Vec<Pair>) -> Profile {
        Profile {
            id,
            traits,
            anonymous_ids: Vec::new(),
            anonymous_id: None,
            emails: Vec::new(),
            first_seen: None,
            last_seen: None,
            context: None,
            options: Vec::new(),
            merged: Vec::new(),
        }
    }
}

/// Traits, unsorted and with those that were removed, and whose writes are among them.
pub struct Shown {
    pub traits: Vec<Pair>,
    pub merged: Vec<Name>,
}

/// What an audience may see of a person, statements ascending by stamp.
struct View {
    identified: Vec<Statement>,
    anonymous: Vec<Statement>,
    /// Addresses, each after the latest stamp under which it was stated.
    emails: Vec<(Span, Span)>,
    merged: Vec<Name>,
}

impl Arena {
    /// The profile that belongs under the key for this audience, or None: nothing does.
    pub fn project(&mut self, record: &Record, key: Name, sight: &dyn Sight) -> Option<Profile> {
        match record {
            Record::Device(device) => self.project_device(device, key, sight),
            Record::Person(person) if person.claim.is_some() && self.is_lead(key) => None,
            Record::Person(person) => self.project_person(person, key, sight),
        }
    }

    /// Only the traits and the merged sources of what `project` gives.
    pub fn shown(&mut self, record: &Record, key: Name, sight: &dyn Sight) -> Option<Shown> {
        match record {
            Record::Device(device) => {
                let visible = permitted(&self.unowned(device), sight);
                if visible.is_empty() {
                    return None;
                }
                Some(Shown { traits: self.folded(&visible, &[]), merged: Vec::new() })
            }
            Record::Person(person) if person.claim.is_some() && self.is_lead(key) => None,
            Record::Person(person) => {
                let view = self.view(person, key, sight)?;
                let mut traits = self.folded(&view.anonymous, &view.identified);
                self.derive_email(&mut traits, &view);
                Some(Shown { traits, merged: view.merged })
            }
        }
    }

    fn is_lead(&self, key: Name) -> bool {
        self.text(key).starts_with(b"email:")
    }

    fn project_device(&mut self, device: &Device, key: Name, sight: &dyn Sight) -> Option<Profile> {
        let visible = permitted(&self.unowned(device), sight);
        if visible.is_empty() {
            return None;
        }
        let traits = self.folded(&visible, &[]);
        let mut profile = Profile::new(key, self.sorted(traits));
        let anon = self.after_kind(key);
        profile.anonymous_ids.push(anon);
        profile.anonymous_id = Some(anon);
        profile.first_seen = visible.iter().find(|one| self.is_seen(one)).map(|one| one.eff);
        self.fold_marks(&visible, &mut profile);
        Some(profile)
    }

    /// An identifier without its kind.
    fn after_kind(&self, identifier: Name) -> Span {
        let text = self.text(identifier);
        let kind = text.iter().position(|&byte| byte == b':').map_or(0, |at| at + 1);
        self.part(self.span_of(identifier), kind, text.len())
    }

    /// None where the audience may see nothing at all.
    fn view(&mut self, person: &Person, key: Name, sight: &dyn Sight) -> Option<View> {
        let own = permitted(&person.own.statements, sight);
        let mut view =
            View { identified: own, anonymous: Vec::new(), emails: Vec::new(), merged: Vec::new() };
        if self.is_lead(key) {
            if let Some(last) = view.identified.last() {
                view.emails.push((last.stamp, self.after_kind(key)));
            }
        }
        for (source, contribution) in &person.sources {
            self.add_source(&mut view, *source, contribution, sight);
        }
        if view.identified.is_empty() && view.anonymous.is_empty() {
            return None;
        }
        self.put_in_order(&mut view.identified);
        self.put_in_order(&mut view.anonymous);
        Some(view)
    }

    fn add_source(
        &mut self,
        view: &mut View,
        source: Name,
        contribution: &Contribution,
        sight: &dyn Sight,
    ) {
        let stated = permitted(&contribution.identified.statements, sight);
        let unstated = permitted(&contribution.anonymous.statements, sight);
        if let Some(last) = stated.last() {
            view.identified.extend_from_slice(&stated);
            let address = self.after_kind(source);
            let known = view.emails.iter().position(|one| self.get(one.1) == self.get(address));
            match known {
                Some(at) => view.emails[at].0 = last.stamp,
                None => view.emails.push((last.stamp, address)),
            }
        }
        view.anonymous.extend_from_slice(&unstated);
        if !stated.is_empty() || !unstated.is_empty() {
            view.merged.push(source);
        }
        if self.is_lead(source) {
            self.add_devices_of(&unstated, &mut view.merged);
        }
    }

    /// The devices that came to a person through a lead.
    fn add_devices_of(&mut self, statements: &[Statement], merged: &mut Vec<Name>) {
        for statement in statements {
            for at in 0..statement.marks.len() {
                let mark = self.pairs(statement.marks)[at].name;
                let text = self.text(mark);
                if text.first() == Some(&b'a') {
                    let device = self.part(self.span_of(mark), 1, text.len());
                    merged.push(self.name_at(device));
                }
            }
        }
    }

    /// By their stamps; equal ones stay as they stand.
    fn put_in_order(&self, statements: &mut [Statement]) {
        if !statements.is_sorted_by(|one, next| self.earlier(one, next).is_le()) {
            statements.sort_by(|one, other| self.earlier(one, other));
        }
    }

    fn project_person(&mut self, person: &Person, key: Name, sight: &dyn Sight) -> Option<Profile> {
        let mut view = self.view(person, key, sight)?;
        let mut traits = self.folded(&view.anonymous, &view.identified);
        self.derive_email(&mut traits, &view);
        let mut profile = Profile::new(key, self.sorted(traits));
        let mut statements = [view.anonymous, view.identified].concat();
        self.put_in_order(&mut statements);
        let devices = self.fold_marks(&statements, &mut profile);
        let latest = devices.iter().max_by(|one, other| {
            let stamps = self.get(one.1).cmp(self.get(other.1));
            stamps.then_with(|| self.get(one.0).cmp(self.get(other.0)))
        });
        profile.anonymous_id = latest.map(|one| one.0);
        profile.anonymous_ids = devices.iter().map(|one| one.0).collect();
        profile.anonymous_ids.sort_by(|one, other| self.get(*one).cmp(self.get(*other)));
        profile.emails = view.emails.iter().map(|one| one.1).collect();
        profile.emails.sort_by(|one, other| self.get(*one).cmp(self.get(*other)));
        profile.first_seen = first_seen(person, sight);
        view.merged.sort_by(|one, other| self.text(*one).cmp(self.text(*other)));
        view.merged.dedup();
        profile.merged = view.merged;
        Some(profile)
    }

    /// Folds statements, each list ascending by stamp, the identified ones above the anonymous;
    /// what was removed is nil.
    fn folded(&mut self, anonymous: &[Statement], identified: &[Statement]) -> Vec<Pair> {
        let mut traits: Vec<Pair> = Vec::new();
        self.taken().begin();
        for statement in identified.iter().rev().chain(anonymous.iter().rev()) {
            for at in 0..statement.traits.len() {
                let one = self.pairs(statement.traits)[at];
                let taken = self.taken();
                if taken.of_trait(one.name) == 0 {
                    taken.take_trait(one.name);
                    traits.push(one);
                }
            }
        }
        self.derive_name(&mut traits);
        traits
    }

    /// `name` of first and last name, where none is stated or it was removed.
    fn derive_name(&mut self, traits: &mut Vec<Pair>) {
        let full = traits.iter().position(|one| one.name == NAME);
        if full.is_some_and(|at| traits[at].value != self.nil && !self.is_nil(traits[at].value)) {
            return;
        }
        let first = self.text_trait(traits, FIRST_NAME);
        let last = self.text_trait(traits, LAST_NAME);
        let (Some(first), Some(last)) = (first, last) else {
            return;
        };
        let name = [first.as_bytes(), last.as_bytes()].join(&b' ');
        let value = self.written(|out| pack::text(out, &name));
        match full {
            Some(at) => traits[at].value = value,
            None => traits.push(Pair { name: NAME, value }),
        }
    }

    fn is_nil(&self, value: Span) -> bool {
        self.get(value) == [0xc0]
    }

    /// A trait that is a text of more than space, as Python's `str.strip` knows space.
    fn text_trait(&self, traits: &[Pair], name: Name) -> Option<String> {
        let raw = self.get(traits.iter().find(|one| one.name == name)?.value);
        let (start, end) = Reader::new(raw).text().ok()?;
        let text = std::str::from_utf8(&raw[start..end]).ok()?;
        let is_space = |one: char| one.is_whitespace() || ('\x1c'..='\x1f').contains(&one);
        let blank = text.chars().all(is_space);
        (!blank).then(|| text.to_owned())
    }

    /// `email` of the address that was stated last, where the trait is not stated or was removed.
    fn derive_email(&mut self, traits: &mut Vec<Pair>, view: &View) {
        let latest = view.emails.iter().max_by(|one, other| {
            let stamps = self.get(one.0).cmp(self.get(other.0));
            stamps.then_with(|| self.get(one.1).cmp(self.get(other.1)))
        });
        let Some(latest) = latest else { return };
        let known = traits.iter().position(|one| one.name == EMAIL_TRAIT);
        if known.is_some_and(|at| !self.is_nil(traits[at].value)) {
            return;
        }
        let address = self.get(latest.1).to_vec();
        let value = self.written(|out| pack::text(out, &address));
        match known {
            Some(at) => traits[at].value = value,
            None => traits.push(Pair { name: EMAIL_TRAIT, value }),
        }
    }

    /// By their names, without those that were removed.
    fn sorted(&self, mut traits: Vec<Pair>) -> Vec<Pair> {
        traits.retain(|one| !self.is_nil(one.value));
        traits.sort_by(|one, other| self.text(one.name).cmp(self.text(other.name)));
        traits
    }

    /// Sets when the profile was last seen, its context and its options, from statements ascending
    /// by stamp; returns the devices' anonymousIds with their latest stamps.
    fn fold_marks(&mut self, statements: &[Statement], profile: &mut Profile) -> Vec<(Span, Span)> {
        let mut devices: Vec<(Name, Span, Span)> = Vec::new();
        for statement in statements {
            for at in 0..statement.marks.len() {
                let one = self.pairs(statement.marks)[at];
                if one.name == SEEN {
                    profile.last_seen = Some(statement.eff);
                    profile.context = Some(one.value);
                    continue;
                }
                if one.name == QUIET {
                    continue;
                }
                let (span, text) = (self.span_of(one.name), self.text(one.name));
                if text.first() == Some(&b'a') {
                    let kind = text.len().min(b"aanon:".len());
                    let anon = self.part(span, kind, text.len());
                    devices.push((one.name, anon, statement.stamp));
                } else if text.first() == Some(&b'i') {
                    let key = self.part(span, 1, text.len());
                    let key = self.name_at(key);
                    profile.options.retain(|known| known.0 != key);
                    profile.options.push((key, one.value));
                }
            }
        }
        profile.context = profile.context.and_then(|short| self.lengthened(short));
        devices.sort_by_key(|one| one.0);
        devices.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.2 = later.2;
            }
            same
        });
        devices.into_iter().map(|(_, anon, stamp)| (anon, stamp)).collect()
    }

    /// What of a profile is news to who was shown something before: changed and removed traits.
    pub fn compared(&mut self, before: &Shown, profile: &Profile) -> (Vec<Name>, Vec<Name>) {
        let was = |name: Name| before.traits.iter().find(|one| one.name == name);
        let is_news = |one: &&Pair| {
            was(one.name).is_none_or(|old| self.get(old.value) != self.get(one.value))
        };
        let changed = profile.traits.iter().filter(is_news).map(|one| one.name).collect();
        let is_gone = |one: &&Pair| {
            !self.is_nil(one.value) && !profile.traits.iter().any(|now| now.name == one.name)
        };
        let mut removed: Vec<Name> =
            before.traits.iter().filter(is_gone).map(|one| one.name).collect();
        removed.sort_by(|one, other| self.text(*one).cmp(self.text(*other)));
        (changed, removed)
    }

    /// The stable part of the message, from the envelope that all destinations share.
    pub fn write_stable(
        &self,
        out: &mut Vec<u8>,
        profile: &Profile,
        envelope: &Envelope,
    ) -> Result<(), Malformed> {
        let user_id = self.user_id_of(profile.id);
        let shaped = Shaped { user_id, traits: None, context: true, identity: None, emails: true };
        self.write_payload(out, profile, envelope, &shaped)
    }

    /// The same in a destination's own form.
    pub fn write_payload(
        &self,
        out: &mut Vec<u8>,
        profile: &Profile,
        envelope: &Envelope,
        shaped: &Shaped,
    ) -> Result<(), Malformed> {
        out.extend(b"{\"type\":\"identify\",\"timestamp\":");
        write_instant(out, profile.last_seen);
        out.extend(b",\"userId\":");
        self.write_id(out, shaped.user_id);
        out.extend(b",\"anonymousId\":");
        self.write_id(out, profile.anonymous_id);
        match shaped.traits {
            None => self.write_traits(out, profile)?,
            Some(members) => write_members(out, b",\"traits\":{", members),
        }
        if shaped.context {
            self.write_context(out, profile);
        } else {
            out.extend(b",\"context\":{}");
        }
        out.extend(b",\"integrations\":{");
        json::write_text(out, envelope.name.as_bytes());
        out.push(b':');
        match self.options_for(profile, envelope) {
            Some(options) => json::write_packed(out, self.get(options))?,
            None => out.extend(b"{}"),
        }
        out.push(b'}');
        if let Some(members) = shaped.identity {
            write_members(out, b",\"identity\":{", members);
        }
        out.extend(b",\"profile\":{\"id\":");
        json::write_text(out, self.text(profile.id));
        write_seen(out, profile);
        self.write_others(out, profile, shaped.emails);
        out.extend(b"}}");
        Ok(())
    }

    /// The profile as `resolver resolve` prints it: `resolver.offline.as_line`.
    pub fn write_line(&self, out: &mut Vec<u8>, profile: &Profile) -> Result<(), Malformed> {
        out.extend(b"{\"profileId\":");
        json::write_text(out, self.text(profile.id));
        out.extend(b",\"userId\":");
        self.write_id(out, self.user_id_of(profile.id));
        self.write_others(out, profile, true);
        self.write_traits(out, profile)?;
        write_seen(out, profile);
        self.write_context(out, profile);
        out.push(b'}');
        Ok(())
    }

    /// What was said last of the options that are for a destination.
    pub fn options_for(&self, profile: &Profile, envelope: &Envelope) -> Option<Span> {
        let options = profile.options.iter().rev();
        options.into_iter().find(|one| envelope.has_key(self.text(one.0))).map(|one| one.1)
    }

    /// The userId senders used: a user's id, a lead's address, none of a device.
    pub fn user_id_of(&self, id: Name) -> Option<Span> {
        let is_person = matches!(self.text(id).first(), Some(b'u' | b'e'));
        is_person.then(|| self.after_kind(id))
    }

    fn write_id(&self, out: &mut Vec<u8>, id: Option<Span>) {
        match id {
            Some(id) => json::write_text(out, self.get(id)),
            None => out.extend(b"null"),
        }
    }

    fn write_traits(&self, out: &mut Vec<u8>, profile: &Profile) -> Result<(), Malformed> {
        out.extend(b",\"traits\":{");
        for (place, one) in profile.traits.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            json::write_text(out, self.text(one.name));
            out.push(b':');
            json::write_packed(out, self.get(one.value))?;
        }
        out.push(b'}');
        Ok(())
    }

    fn write_context(&self, out: &mut Vec<u8>, profile: &Profile) {
        out.extend(b",\"context\":");
        out.extend_from_slice(profile.context.map_or(b"{}", |context| self.get(context)));
    }

    /// The other identifiers: every anonymousId, and every address that is to be told.
    fn write_others(&self, out: &mut Vec<u8>, profile: &Profile, with_emails: bool) {
        out.extend(b",\"anonymousIds\":");
        json::write_texts(out, profile.anonymous_ids.iter().map(|one| self.get(*one)));
        out.extend(b",\"emails\":");
        let emails: &[Span] = if with_emails { &profile.emails } else { &[] };
        json::write_texts(out, emails.iter().map(|one| self.get(*one)));
    }

    /// The message: the stable part with the revision spliced in before its last two braces; traits
    /// by what the destination calls them.
    pub fn write_message(
        &self,
        out: &mut Vec<u8>,
        stable: &[u8],
        id: Name,
        said: &Revision,
        [changed, removed]: [Option<&[Vec<u8>]>; 2],
    ) {
        out.extend_from_slice(&stable[..stable.len() - 2]);
        out.extend(b",\"version\":");
        json::write_integer(out, said.version);
        out.extend(b",\"merged\":");
        json::write_texts(out, said.merged.iter().map(|one| self.text(*one)));
        out.extend(b",\"changed\":");
        write_names(out, changed);
        out.extend(b",\"removed\":");
        write_names(out, removed);
        out.extend(b",\"causedBy\":");
        json::write_text(out, said.caused_by);
        out.extend(b"},\"messageId\":");
        json::write_text(out, self.text(id));
        out.pop();
        out.push(b'@');
        json::write_integer(out, said.version);
        out.extend(b"\"}");
    }

    /// Names as texts of their own.
    pub fn texts_of(&self, names: Option<&[Name]>) -> Option<Vec<Vec<u8>>> {
        names.map(|names| names.iter().map(|one| self.text(*one).to_vec()).collect())
    }
}

fn write_names(out: &mut Vec<u8>, names: Option<&[Vec<u8>]>) {
    match names {
        None => out.extend(b"null"),
        Some(names) => json::write_texts(out, names.iter().map(Vec::as_slice)),
    }
}

/// What a destination's own form makes of a profile; the members of objects are JSON. Without
/// `traits` they are sent as they are.
pub struct Shaped<'a> {
    pub user_id: Option<Span>,
    pub traits: Option<&'a [u8]>,
    pub context: bool,
    pub identity: Option<&'a [u8]>,
    pub emails: bool,
}

/// What a payload says about its own change; None where that is unknown.
pub struct Revision<'a> {
    pub version: i64,
    pub merged: &'a [Name],
    pub changed: Option<&'a [Name]>,
    pub removed: Option<&'a [Name]>,
    pub caused_by: &'a [u8],
}

/// A destination that takes traits as they are: its name, and the keys its options may come under.
pub struct Envelope {
    pub name: String,
    pub keys: Vec<String>,
}

impl Envelope {
    fn has_key(&self, key: &[u8]) -> bool {
        self.keys.iter().any(|one| one.as_bytes() == key)
    }
}

fn write_members(out: &mut Vec<u8>, start: &[u8], members: &[u8]) {
    out.extend_from_slice(start);
    out.extend_from_slice(members);
    out.push(b'}');
}

fn write_seen(out: &mut Vec<u8>, profile: &Profile) {
    out.extend(b",\"firstSeenAt\":");
    write_instant(out, profile.first_seen);
    out.extend(b",\"lastSeenAt\":");
    write_instant(out, profile.last_seen);
}

/// An instant as text; null where there is none, or none that the calendar holds.
fn write_instant(out: &mut Vec<u8>, instant: Option<i64>) {
    let start = out.len();
    out.push(b'"');
    if instant.is_some_and(|instant| write_iso(out, instant)) {
        out.push(b'"');
    } else {
        out.truncate(start);
        out.extend(b"null");
    }
}

/// The statements that an audience may see.
fn permitted(statements: &[Statement], sight: &dyn Sight) -> Vec<Statement> {
    let seen = statements.iter().filter(|one| sight.may_see(one.restriction));
    seen.copied().collect()
}

/// When somebody was first active, as far as the audience may know.
fn first_seen(person: &Person, sight: &dyn Sight) -> Option<i64> {
    let sources = person.sources.iter();
    let layers = sources.flat_map(|(_, one)| [&one.identified, &one.anonymous]);
    let layers = std::iter::once(&person.own).chain(layers);
    let seen = layers.flat_map(|layer: &Layer| &layer.first);
    seen.filter(|one| sight.may_see(one.0)).map(|one| one.1).min()
}
