//! Messages in Avro for destinations that take profiles just as they are: by the published contract
//! of a resolved profile, whose fields these functions write in their order. The bytes are those of
//! `resolver.edges.avro_format`.

use crate::arena::{Arena, Name, Span};
use crate::json::{write_integer, Scanner};
use crate::pack::{Malformed, Reader, Token};
use crate::profiles::{Envelope, Profile, Revision};
use crate::times::write_iso;
use std::ops::Range;

/// No further block of an array or map; also the first branch of a union, null in the contract.
const END: u8 = 0x00;
/// The other branch of a union of null and something.
const SOME: u8 = 0x02;

// How the branches of `Json` begin after null, in their order.
const FALSE: [u8; 2] = [0x02, 0x00];
const TRUE: [u8; 2] = [0x02, 0x01];
const LONG: u8 = 0x04;
const DOUBLE: u8 = 0x06;
const TEXT: u8 = 0x08;
const ARRAY: u8 = 0x0a;
const OBJECT: u8 = 0x0c;

/// Members of an object for which room is made before they are there.
const MEMBERS_USUAL: usize = 32;

impl Arena {
    /// All of a record that does not tell of its change. False where the context is odd: then what
    /// was written is no record.
    pub fn write_record(
        &self,
        out: &mut Vec<u8>,
        profile: &Profile,
        envelope: &Envelope,
    ) -> Result<bool, Malformed> {
        write_text(out, b"identify");
        write_instant(out, profile.last_seen);
        write_optional(out, self.user_id_of(profile.id).map(|one| self.get(one)));
        write_optional(out, profile.anonymous_id.map(|one| self.get(one)));
        self.write_trait_map(out, profile)?;
        if !write_context(out, profile.context.map(|one| self.get(one)))? {
            return Ok(false);
        }
        write_long(out, 1);
        write_text(out, envelope.name.as_bytes());
        match self.options_for(profile, envelope) {
            Some(options) => write_value(out, &mut Reader::new(self.get(options)))?,
            None => out.extend([OBJECT, END]),
        }
        out.push(END);
        write_text(out, self.text(profile.id));
        write_instant(out, profile.first_seen);
        write_instant(out, profile.last_seen);
        self.write_spans(out, &profile.anonymous_ids);
        self.write_spans(out, &profile.emails);
        Ok(true)
    }

    /// What a record says last: its version and its change.
    pub fn write_record_end(&self, out: &mut Vec<u8>, id: Name, said: &Revision) {
        write_long(out, said.version);
        self.write_names(out, said.merged);
        for names in [said.changed, said.removed] {
            match names {
                None => out.push(END),
                Some(names) => {
                    out.push(SOME);
                    self.write_names(out, names);
                }
            }
        }
        write_optional(out, Some(said.caused_by));
        let mut message_id = self.text(id).to_vec();
        message_id.push(b'@');
        write_integer(&mut message_id, said.version);
        write_text(out, &message_id);
    }

    /// Traits are sorted by their names.
    fn write_trait_map(&self, out: &mut Vec<u8>, profile: &Profile) -> Result<(), Malformed> {
        write_count(out, profile.traits.len());
        for one in &profile.traits {
            write_text(out, self.text(one.name));
            write_value(out, &mut Reader::new(self.get(one.value)))?;
        }
        out.push(END);
        Ok(())
    }

    fn write_spans(&self, out: &mut Vec<u8>, texts: &[Span]) {
        write_count(out, texts.len());
        texts.iter().for_each(|one| write_text(out, self.get(*one)));
        out.push(END);
    }

    fn write_names(&self, out: &mut Vec<u8>, names: &[Name]) {
        write_count(out, names.len());
        names.iter().for_each(|one| write_text(out, self.text(*one)));
        out.push(END);
    }
}

/// Zigzag, seven bits a byte, the lowest first.
fn write_long(out: &mut Vec<u8>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    while rest > 0x7f {
        out.push(rest as u8 & 0x7f | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many elements the one block of an array or map has; of none there is no block.
fn write_count(out: &mut Vec<u8>, count: usize) {
    if count > 0 {
        write_long(out, count as i64);
    }
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write_long(out, text.len() as i64);
    out.extend_from_slice(text);
}

fn write_optional(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        None => out.push(END),
        Some(text) => {
            out.push(SOME);
            write_text(out, text);
        }
    }
}

/// An instant as text; null where there is none, or none that the calendar holds.
fn write_instant(out: &mut Vec<u8>, instant: Option<i64>) {
    let mut text = Vec::with_capacity(32);
    let is_told = instant.is_some_and(|instant| write_iso(&mut text, instant));
    write_optional(out, is_told.then_some(&text));
}

/// The members of a context that is JSON as most are; false where it is not.
fn write_context(out: &mut Vec<u8>, context: Option<&[u8]>) -> Result<bool, Malformed> {
    let Some(text) = context else {
        out.push(END);
        return Ok(true);
    };
    let mut packed = Vec::with_capacity(text.len());
    let mut scanner = Scanner::new(text);
    scanner.pass_space();
    if scanner.packed(&mut packed).and_then(|()| scanner.end()).is_err() {
        return Ok(false);
    }
    let mut reader = Reader::new(&packed);
    let Token::Map(count) = reader.next()? else {
        return Ok(false);
    };
    write_members(out, &mut reader, count)?;
    Ok(true)
}

/// A msgpack value as `Json`: an integer beyond 64 bits becomes a text.
fn write_value(out: &mut Vec<u8>, reader: &mut Reader) -> Result<(), Malformed> {
    match reader.next()? {
        Token::Nil => out.push(END),
        Token::Bool(value) => out.extend(if value { TRUE } else { FALSE }),
        Token::Int(value) => {
            out.push(LONG);
            write_long(out, value);
        }
        Token::Big(value) => {
            out.push(TEXT);
            write_text(out, value.to_string().as_bytes());
        }
        Token::Float(value) => {
            out.push(DOUBLE);
            out.extend(value.to_le_bytes());
        }
        Token::Text(start, end) => {
            out.push(TEXT);
            write_text(out, &reader.raw[start..end]);
        }
        Token::Bytes(..) => return Err(Malformed),
        Token::Array(count) => {
            out.push(ARRAY);
            write_count(out, count);
            for _ in 0..count {
                write_value(out, reader)?;
            }
            out.push(END);
        }
        Token::Map(count) => {
            out.push(OBJECT);
            write_members(out, reader, count)?;
        }
    }
    Ok(())
}

/// Members in order of their names, so that equal objects are equal bytes: most come so; others are
/// put in order once they are written.
fn write_members(out: &mut Vec<u8>, reader: &mut Reader, count: usize) -> Result<(), Malformed> {
    write_count(out, count);
    let start = out.len();
    let mut members: Vec<(&[u8], Range<usize>)> = Vec::with_capacity(count.min(MEMBERS_USUAL));
    for _ in 0..count {
        let (from, to) = reader.text()?;
        let name = &reader.raw[from..to];
        let at = out.len() - start;
        write_text(out, name);
        write_value(out, reader)?;
        members.push((name, at..out.len() - start));
    }
    if !members.is_sorted_by(|one, next| one.0 <= next.0) {
        members.sort_by(|one, other| one.0.cmp(other.0));
        let written = out.split_off(start);
        members.into_iter().for_each(|(_, range)| out.extend_from_slice(&written[range]));
    }
    out.push(END);
    Ok(())
}
