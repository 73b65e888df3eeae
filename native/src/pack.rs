//! msgpack, as far as states need it: always the shortest form, as the Python form writes it.

/// Levels of a value, more than any event may have: what reads one recurses.
const DEPTH_MAX: usize = 64;

/// Bytes that are no msgpack, or not the msgpack that was expected.
#[derive(Debug)]
pub struct Malformed;

// Each of these appends one value, or the header of one whose members follow.

pub fn nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

pub fn integer(out: &mut Vec<u8>, value: i64) {
    match value {
        0..=0x7f => out.push(value as u8),
        -0x20..=-1 => out.push(value as i8 as u8),
        0x80..=0xff => out.extend([0xcc, value as u8]),
        0x100..=0xffff => sized(out, 0xcd, &(value as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => sized(out, 0xce, &(value as u32).to_be_bytes()),
        0x1_0000_0000.. => sized(out, 0xcf, &(value as u64).to_be_bytes()),
        -0x80..=-0x21 => out.extend([0xd0, value as i8 as u8]),
        -0x8000..=-0x81 => sized(out, 0xd1, &(value as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => sized(out, 0xd2, &(value as i32).to_be_bytes()),
        _ => sized(out, 0xd3, &value.to_be_bytes()),
    }
}

pub fn float(out: &mut Vec<u8>, value: f64) {
    sized(out, 0xcb, &value.to_be_bytes());
}

pub fn text(out: &mut Vec<u8>, value: &[u8]) {
    match value.len() {
        len @ 0..=31 => out.push(0xa0 | len as u8),
        len @ 32..=0xff => out.extend([0xd9, len as u8]),
        len => long_header(out, 0xda, 0xdb, len),
    }
    out.extend_from_slice(value);
}

pub fn array_header(out: &mut Vec<u8>, len: usize) {
    match len {
        0..=15 => out.push(0x90 | len as u8),
        _ => long_header(out, 0xdc, 0xdd, len),
    }
}

pub fn map_header(out: &mut Vec<u8>, len: usize) {
    match len {
        0..=15 => out.push(0x80 | len as u8),
        _ => long_header(out, 0xde, 0xdf, len),
    }
}

fn long_header(out: &mut Vec<u8>, short: u8, long: u8, len: usize) {
    if len <= 0xffff {
        sized(out, short, &(len as u16).to_be_bytes());
    } else {
        sized(out, long, &(len as u32).to_be_bytes());
    }
}

fn sized(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    out.extend_from_slice(value);
}

/// Reads values one after another; `at` is where the next one begins.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub raw: &'a [u8],
    pub at: usize,
}

/// What the next value is; of texts and bytes where they lie.
pub enum Token {
    Nil,
    Bool(bool),
    Int(i64),
    Big(u64),
    Float(f64),
    Text(usize, usize),
    Bytes(usize, usize),
    Array(usize),
    Map(usize),
}

impl<'a> Reader<'a> {
    pub fn new(raw: &'a [u8]) -> Reader<'a> {
        Reader { raw, at: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.raw.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, count: usize) -> Result<u64, Malformed> {
        let taken = self.take(count)?;
        Ok(taken.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn run(&mut self, len: usize) -> Result<(usize, usize), Malformed> {
        let start = self.at;
        self.take(len)?;
        Ok((start, self.at))
    }

    fn long_run(&mut self, count: usize) -> Result<(usize, usize), Malformed> {
        let len = self.number(count)? as usize;
        self.run(len)
    }

    /// The next value; of an array or a map only its size: its members are the next ones then.
    pub fn next(&mut self) -> Result<Token, Malformed> {
        let tag = self.take(1)?[0];
        Ok(match tag {
            0x00..=0x7f => Token::Int(i64::from(tag)),
            0xe0..=0xff => Token::Int(i64::from(tag as i8)),
            0x80..=0x8f => Token::Map(usize::from(tag & 0xf)),
            0x90..=0x9f => Token::Array(usize::from(tag & 0xf)),
            0xa0..=0xbf => {
                let (start, end) = self.run(usize::from(tag & 0x1f))?;
                Token::Text(start, end)
            }
            0xc0 => Token::Nil,
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let (start, end) = self.long_run(1 << (tag - 0xc4))?;
                Token::Bytes(start, end)
            }
            0xcb => Token::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xce => Token::Int(self.number(1 << (tag - 0xcc))? as i64),
            0xcf => match self.number(8)? {
                large if large > i64::MAX as u64 => Token::Big(large),
                small => Token::Int(small as i64),
            },
            0xd0 => Token::Int(i64::from(self.number(1)? as i8)),
            0xd1 => Token::Int(i64::from(self.number(2)? as i16)),
            0xd2 => Token::Int(i64::from(self.number(4)? as i32)),
            0xd3 => Token::Int(self.number(8)? as i64),
            0xd9..=0xdb => {
                let (start, end) = self.long_run(1 << (tag - 0xd9))?;
                Token::Text(start, end)
            }
            0xdc => Token::Array(self.number(2)? as usize),
            0xdd => Token::Array(self.number(4)? as usize),
            0xde => Token::Map(self.number(2)? as usize),
            0xdf => Token::Map(self.number(4)? as usize),
            _ => return Err(Malformed),
        })
    }

    /// The size of a map that must come next; so for the kinds below.
    pub fn map(&mut self) -> Result<usize, Malformed> {
        match self.next()? {
            Token::Map(len) => Ok(len),
            _ => Err(Malformed),
        }
    }

    pub fn text(&mut self) -> Result<(usize, usize), Malformed> {
        match self.next()? {
            Token::Text(start, end) => Ok((start, end)),
            _ => Err(Malformed),
        }
    }

    pub fn bytes(&mut self) -> Result<(usize, usize), Malformed> {
        match self.next()? {
            Token::Bytes(start, end) => Ok((start, end)),
            _ => Err(Malformed),
        }
    }

    /// Passes over one value with whatever is in it, all of which JSON could say.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_within(DEPTH_MAX)
    }

    fn skip_within(&mut self, levels: usize) -> Result<(), Malformed> {
        let (inner, named) = match self.next()? {
            Token::Array(len) => (len, false),
            Token::Map(len) => (len, true),
            Token::Text(start, end) => {
                return match std::str::from_utf8(&self.raw[start..end]) {
                    Ok(_) => Ok(()),
                    Err(_) => Err(Malformed),
                };
            }
            Token::Bytes(..) => return Err(Malformed),
            _ => return Ok(()),
        };
        let levels = levels.checked_sub(1).ok_or(Malformed)?;
        for _ in 0..inner {
            if named {
                let (start, end) = self.text()?;
                std::str::from_utf8(&self.raw[start..end]).map_err(|_| Malformed)?;
            }
            self.skip_within(levels)?;
        }
        Ok(())
    }
}

/// Whether two values are equal as Python compares them: numbers by what they are worth, truth
/// values as numbers, objects whatever the order of their members.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left == right || alike(&mut Reader::new(left), &mut Reader::new(right)).unwrap_or(false)
}

/// Where two values differ the readers may stop in the middle of them: false is final.
fn alike(left: &mut Reader, right: &mut Reader) -> Result<bool, Malformed> {
    Ok(match (left.next()?, right.next()?) {
        (Token::Nil, Token::Nil) => true,
        (Token::Text(a, b), Token::Text(c, d)) => left.raw[a..b] == right.raw[c..d],
        (Token::Bytes(a, b), Token::Bytes(c, d)) => left.raw[a..b] == right.raw[c..d],
        (Token::Array(a), Token::Array(b)) => {
            a == b && (0..a).try_fold(true, |same, _| Ok(alike(left, right)? && same))?
        }
        (Token::Map(a), Token::Map(b)) => a == b && same_members(a, left, right)?,
        (a, b) => match (worth(&a), worth(&b)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
    })
}

/// A number as an integer where it is worth one, else as a double: never equal by rounding.
#[derive(PartialEq)]
enum Worth {
    Whole(i128),
    Broken(f64),
}

/// What a number or a truth value is worth; None of all else.
fn worth(token: &Token) -> Option<Worth> {
    Some(match *token {
        Token::Bool(value) => Worth::Whole(i128::from(value)),
        Token::Int(value) => Worth::Whole(i128::from(value)),
        Token::Big(value) => Worth::Whole(i128::from(value)),
        Token::Float(value) if value.fract() == 0.0 && value.abs() < 1e30 => {
            Worth::Whole(value as i128)
        }
        Token::Float(value) => Worth::Broken(value),
        _ => return None,
    })
}

fn same_members(len: usize, left: &mut Reader, right: &mut Reader) -> Result<bool, Malformed> {
    let mut members: Vec<(&[u8], &[u8])> = Vec::with_capacity(len.min(1_000));
    for _ in 0..len {
        members.push(member(right)?);
    }
    let mut same = true;
    for _ in 0..len {
        let (name, value) = member(left)?;
        let other = members.iter().find(|one| one.0 == name);
        same = same && other.is_some_and(|one| self::same(value, one.1));
    }
    Ok(same)
}

fn member<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let raw = reader.raw;
    let (start, end) = reader.text()?;
    let at = reader.at;
    reader.skip()?;
    Ok((&raw[start..end], &raw[at..reader.at]))
}
