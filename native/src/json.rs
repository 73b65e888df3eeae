//! JSON as most events have it, and as payloads have it. Whatever is unusual is `Odd`: such an
//! event is left to the general reader, which decides what it means.
//!
//! So `Odd` is never wrong, only slow. What is taken here must be exactly what the general reader
//! would make of it (`resolver.edges.json_codec`, msgspec's JSON); where that is in doubt, at a
//! bound or with what is no JSON at all, `Odd` is right.

use crate::pack::{self, Malformed, Reader, Token};

/// Not what most events look like. It says nothing of whether the event is good.
#[derive(Debug)]
pub struct Odd;

/// Brackets in an event beyond which it may be nested too deep.
const BRACKETS_MAX: usize = 32;
/// Members in an event beyond which an object may have too many.
const MEMBERS_MAX: usize = 500;
/// Digits of an integer that surely fits 64 bits.
const DIGITS_MAX: usize = 18;
/// Colons, in an event of so many bytes, beyond which an object may have too many members.
const COLONS_MAX: usize = 1_000;
const COLONS_BYTES: usize = 4 * COLONS_MAX;

/// Whether the general reader takes an event apart and writes its context anew, as
/// `resolver.edges.json_codec.JsonDecoder` does by these looks, also at what stands in strings.
pub fn is_written_anew(event: &[u8]) -> bool {
    count(event, |one| one == b'{' || one == b'[') > BRACKETS_MAX
        || has_long_number(event)
        || event.len() > COLONS_BYTES && count(event, |one| one == b':') > COLONS_MAX
}

/// In pieces whose counts fit a byte: so it is done for many bytes at once.
fn count(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    let counts = text.chunks(255).map(|piece| {
        let found: u8 = piece.iter().map(|&one| u8::from(is(one))).sum();
        usize::from(found)
    });
    counts.sum()
}

/// Whether more than `DIGITS_MAX` digits stand in a row: then one of so many bytes is among them.
fn has_long_number(text: &[u8]) -> bool {
    let is_digit = |one: &&u8| one.is_ascii_digit();
    let mut places = (DIGITS_MAX..text.len()).step_by(DIGITS_MAX + 1);
    places.any(|at| {
        text[at].is_ascii_digit() && {
            let before = text[..at].iter().rev().take_while(is_digit).count();
            let after = text[at..].iter().take_while(is_digit).count();
            before + after > DIGITS_MAX
        }
    })
}

/// Reads one text from its start to its end.
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    brackets: usize,
    members: usize,
}

/// A string without its quotes, as it stands there.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    pub raw: &'a [u8],
    pub escaped: bool,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8]) -> Scanner<'a> {
        Scanner { text, at: 0, brackets: 0, members: 0 }
    }

    /// The next byte, which stays the next; a text that ends here is odd.
    pub fn peek(&self) -> Result<u8, Odd> {
        self.text.get(self.at).copied().ok_or(Odd)
    }

    pub fn pass_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Odd> {
        if self.peek()? != byte {
            return Err(Odd);
        }
        self.at += 1;
        Ok(())
    }

    /// Only space is left.
    pub fn end(&mut self) -> Result<(), Odd> {
        self.pass_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Odd)
        }
    }

    /// Calls `member` with each name of an object, the scanner before its value, which `member`
    /// must pass over. Names may come twice: whether that is odd is for the caller to say.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Scanner<'a>, Text<'a>) -> Result<(), Odd>,
    ) -> Result<(), Odd> {
        self.open(b'{')?;
        if self.closes(b'}')? {
            return Ok(());
        }
        loop {
            self.pass_space();
            let name = self.string()?;
            self.members += 1;
            if self.members > MEMBERS_MAX {
                return Err(Odd);
            }
            self.pass_space();
            self.expect(b':')?;
            self.pass_space();
            member(self, name)?;
            if self.closes(b'}')? {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn array(
        &mut self,
        mut element: impl FnMut(&mut Scanner<'a>) -> Result<(), Odd>,
    ) -> Result<(), Odd> {
        self.open(b'[')?;
        if self.closes(b']')? {
            return Ok(());
        }
        loop {
            self.pass_space();
            element(self)?;
            if self.closes(b']')? {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn open(&mut self, bracket: u8) -> Result<(), Odd> {
        self.expect(bracket)?;
        self.brackets += 1;
        if self.brackets > BRACKETS_MAX {
            return Err(Odd);
        }
        Ok(())
    }

    fn closes(&mut self, bracket: u8) -> Result<bool, Odd> {
        self.pass_space();
        let closes = self.peek()? == bracket;
        self.at += usize::from(closes);
        Ok(closes)
    }

    /// Passes over a string. Its escapes are looked at now, so that whoever only passes over it
    /// refuses what is none; control characters are no JSON.
    pub fn string(&mut self) -> Result<Text<'a>, Odd> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_run(&self.text[self.at..]);
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at = (self.at + 2).min(self.text.len());
                }
                _ => return Err(Odd),
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        if escaped {
            unescaped(raw, &mut |_| ())?;
        }
        Ok(Text { raw, escaped })
    }

    /// Passes over a value; returns its text.
    pub fn value(&mut self) -> Result<&'a [u8], Odd> {
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'{' => self.object(|inner, _| inner.value().map(drop))?,
            b'[' => self.array(|inner| inner.value().map(drop))?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => {
                self.number()?;
            }
        }
        Ok(&self.text[start..self.at])
    }

    /// Passes over a value and writes it as msgpack.
    pub fn packed(&mut self, out: &mut Vec<u8>) -> Result<(), Odd> {
        match self.peek()? {
            b'"' => {
                let text = self.string()?;
                pack_text(text, out)
            }
            b'{' => self.packed_object(out),
            b'[' => self.packed_array(out),
            b't' => self.word(b"true").map(|()| pack::boolean(out, true)),
            b'f' => self.word(b"false").map(|()| pack::boolean(out, false)),
            b'n' => self.word(b"null").map(|()| pack::nil(out)),
            _ => match self.number()? {
                Number::Whole(value) => {
                    pack::integer(out, value);
                    Ok(())
                }
                Number::Broken(value) => {
                    pack::float(out, value);
                    Ok(())
                }
            },
        }
    }

    /// Written apart first: msgpack states the number of members before them. Of a name that comes
    /// twice the general reader keeps the last value in the first one's place: odd.
    fn packed_object(&mut self, out: &mut Vec<u8>) -> Result<(), Odd> {
        let mut members = Vec::new();
        let mut names: Vec<&[u8]> = Vec::new();
        self.object(|inner, name| {
            if name.escaped || names.contains(&name.raw) {
                return Err(Odd);
            }
            names.push(name.raw);
            pack::text(&mut members, name.raw);
            inner.packed(&mut members)
        })?;
        pack::map_header(out, names.len());
        out.extend_from_slice(&members);
        Ok(())
    }

    fn packed_array(&mut self, out: &mut Vec<u8>) -> Result<(), Odd> {
        let mut elements = Vec::new();
        let mut count = 0;
        self.array(|inner| {
            count += 1;
            inner.packed(&mut elements)
        })?;
        pack::array_header(out, count);
        out.extend_from_slice(&elements);
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Odd> {
        let end = self.at + word.len();
        if self.text.get(self.at..end) != Some(word) {
            return Err(Odd);
        }
        self.at = end;
        Ok(())
    }

    /// A number that both engines surely read the same: no more than `DIGITS_MAX` digits, finite,
    /// and not the integer `-0`.
    fn number(&mut self) -> Result<Number, Odd> {
        let start = self.at;
        self.at += usize::from(self.peek()? == b'-');
        let digits = self.digits();
        let first = self.text.get(self.at - digits).copied().unwrap_or(0);
        if digits == 0 || digits > DIGITS_MAX || (digits > 1 && first == b'0') {
            return Err(Odd);
        }
        let whole = self.at;
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(Odd);
            }
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(Odd);
            }
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| Odd)?;
        if self.at > whole {
            let value: f64 = text.parse().map_err(|_| Odd)?;
            let long = self.at - start > DIGITS_MAX;
            return if value.is_finite() && !long { Ok(Number::Broken(value)) } else { Err(Odd) };
        }
        match text.parse() {
            Ok(0) if text.starts_with('-') => Err(Odd),
            Ok(value) => Ok(Number::Whole(value)),
            Err(_) => Err(Odd),
        }
    }

    /// Passes over digits; returns how many.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.text.get(self.at) {
            self.at += 1;
        }
        self.at - start
    }
}

/// A number, as JSON writes it: whole without a point or an exponent, as Python tells them apart.
pub enum Number {
    Whole(i64),
    Broken(f64),
}

/// A string as msgpack.
pub fn pack_text(text: Text, out: &mut Vec<u8>) -> Result<(), Odd> {
    if !text.escaped {
        pack::text(out, text.raw);
        return Ok(());
    }
    pack::text(out, &plain(text)?);
    Ok(())
}

/// A string's characters.
pub fn plain(text: Text) -> Result<Vec<u8>, Odd> {
    let mut bytes = Vec::with_capacity(text.raw.len());
    unescaped(text.raw, &mut |part| bytes.extend_from_slice(part))?;
    Ok(bytes)
}

/// Calls `write` with the parts of a string. A half of a pair of surrogates is odd, and so is a
/// whole pair: `char::from_u32` takes neither.
fn unescaped(raw: &[u8], write: &mut impl FnMut(&[u8])) -> Result<(), Odd> {
    let mut at = 0;
    while at < raw.len() {
        let start = at;
        while at < raw.len() && raw[at] != b'\\' {
            at += 1;
        }
        write(&raw[start..at]);
        if at == raw.len() {
            break;
        }
        let escape = raw.get(at + 1).copied().ok_or(Odd)?;
        at += 2;
        match escape {
            b'"' | b'\\' | b'/' => write(&[escape]),
            b'b' => write(b"\x08"),
            b'f' => write(b"\x0c"),
            b'n' => write(b"\n"),
            b'r' => write(b"\r"),
            b't' => write(b"\t"),
            b'u' => {
                let mut code = hex_at(raw, at)?;
                at += 4;
                if (0xd800..0xdc00).contains(&code) && raw.get(at..at + 2) == Some(b"\\u") {
                    let low = hex_at(raw, at + 2)?.checked_sub(0xdc00).ok_or(Odd)?;
                    if low >= 0x400 {
                        return Err(Odd);
                    }
                    code = 0x1_0000 + ((code - 0xd800) << 10) + low;
                    at += 6;
                }
                let character = char::from_u32(code).ok_or(Odd)?;
                write(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return Err(Odd),
        }
    }
    Ok(())
}

/// The number that four hexadecimal digits are.
fn hex_at(raw: &[u8], at: usize) -> Result<u32, Odd> {
    let digits = raw.get(at..at + 4).ok_or(Odd)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Odd);
    }
    let hex = std::str::from_utf8(digits).map_err(|_| Odd)?;
    u32::from_str_radix(hex, 16).map_err(|_| Odd)
}

/// How many bytes stand in a text before a quote, a backslash or a control character: eight at a
/// time, by the carries of sums that overflow only where one of them is. Carries run upwards, so the
/// lowest one is surely right.
fn plain_run(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let mut at = 0;
    while let Some(eight) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found =
            (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash) | control;
        if found & HIGHS != 0 {
            return at + (found & HIGHS).trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_plain = |one: &&u8| **one >= 0x20 && **one != b'"' && **one != b'\\';
    at + text[at..].iter().take_while(is_plain).count()
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A text with its quotes, escaped as msgspec does: nothing but what must be.
pub fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_run(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else {
            break;
        };
        write_escape(out, byte);
        rest = after;
    }
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend([b'\\', byte]),
        b'\n' => out.extend(b"\\n"),
        b'\r' => out.extend(b"\\r"),
        b'\t' => out.extend(b"\\t"),
        0x08 => out.extend(b"\\b"),
        0x0c => out.extend(b"\\f"),
        _ => {
            out.extend(b"\\u00");
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// Texts as an array.
pub fn write_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a [u8]>) {
    out.push(b'[');
    for (place, text) in texts.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_text(out, text);
    }
    out.push(b']');
}

/// An integer in decimal; wide enough for both kinds that msgpack knows.
pub fn write_integer(out: &mut Vec<u8>, value: impl Into<i128>) {
    let value = value.into();
    let mut digits = [0_u8; 40];
    let mut at = digits.len();
    let Ok(mut rest) = u64::try_from(value.unsigned_abs()) else {
        out.extend(value.to_string().bytes());
        return;
    };
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// A msgpack value as JSON.
pub fn write_packed(out: &mut Vec<u8>, raw: &[u8]) -> Result<(), Malformed> {
    write_next(out, &mut Reader::new(raw))
}

fn write_next(out: &mut Vec<u8>, reader: &mut Reader) -> Result<(), Malformed> {
    match reader.next()? {
        Token::Nil => out.extend(b"null"),
        Token::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Token::Int(value) => write_integer(out, value),
        Token::Big(value) => write_integer(out, value),
        Token::Float(value) if !value.is_finite() => out.extend(b"null"),
        Token::Float(value) => out.extend(ryu::Buffer::new().format_finite(value).bytes()),
        Token::Text(start, end) => write_text(out, &reader.raw[start..end]),
        Token::Bytes(..) => return Err(Malformed),
        Token::Array(len) => {
            out.push(b'[');
            for place in 0..len {
                if place > 0 {
                    out.push(b',');
                }
                write_next(out, reader)?;
            }
            out.push(b']');
        }
        Token::Map(len) => {
            out.push(b'{');
            for place in 0..len {
                if place > 0 {
                    out.push(b',');
                }
                write_next(out, reader)?;
                out.push(b':');
                write_next(out, reader)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}
