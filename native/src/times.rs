//! Instants in microseconds since 1970, and their ISO 8601 text.

/// 2000-01-01: an event stated before it comes from a clock that was never set.
pub const OLDEST_US: i64 = 946_684_800_000_000;
/// The calendar from year 1 to the end of year 9999.
pub const FIRST_US: i64 = -62_135_596_800_000_000;
pub const END_US: i64 = 253_402_300_800_000_000;

const DAY_S: i64 = 86_400;

/// The instant of a text as JavaScript writes it, with or without milliseconds; None: of another
/// form.
pub fn usual_instant(text: &[u8]) -> Option<i64> {
    let millis = match text.len() {
        20 => 0,
        24 if text[19] == b'.' => number(text, 20, 3)?,
        _ => return None,
    };
    let shaped = text[4] == b'-'
        && text[7] == b'-'
        && text[10] == b'T'
        && text[13] == b':'
        && text[16] == b':'
        && text[text.len() - 1] == b'Z';
    if !shaped {
        return None;
    }
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 2)?, number(text, 8, 2)?);
    let (hour, minute, second) = (number(text, 11, 2)?, number(text, 14, 2)?, number(text, 17, 2)?);
    let real = year >= 1
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !real {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * DAY_S + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000_000 + millis * 1_000)
}

/// The instant of a whole number: milliseconds from 1e11 on, else seconds; None beyond the calendar.
pub fn epoch_us(number: i64) -> Option<i64> {
    let scale = if number.unsigned_abs() < 100_000_000_000 { 1_000_000 } else { 1_000 };
    let instant = number.checked_mul(scale)?;
    (FIRST_US..END_US).contains(&instant).then_some(instant)
}

/// So many digits as a number; None where one is none.
fn number(text: &[u8], start: usize, count: usize) -> Option<i64> {
    let mut number = 0;
    for &digit in &text[start..start + count] {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    Some(number)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// By the calendar whose years begin in March, so that leap days come last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// (year, month, day) of a day since 1970: `days_since_1970` the other way round.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// `2019-08-24T14:15:22Z`, with a fraction only if it is not zero; false past the calendar.
pub fn write_iso(out: &mut Vec<u8>, instant: i64) -> bool {
    if !(FIRST_US..END_US).contains(&instant) {
        return false;
    }
    let (seconds, micros) = (instant.div_euclid(1_000_000), instant.rem_euclid(1_000_000));
    let (year, month, day) = date_of(seconds.div_euclid(DAY_S));
    let second = seconds.rem_euclid(DAY_S);
    digits(out, year, 4);
    for (sign, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', second / 3_600),
        (b':', second / 60 % 60),
        (b':', second % 60),
    ] {
        out.push(sign);
        digits(out, value, 2);
    }
    if micros > 0 {
        out.push(b'.');
        digits(out, micros, 6);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
    true
}

fn digits(out: &mut Vec<u8>, value: i64, count: u32) {
    for place in (0..count).rev() {
        out.push(b'0' + (value / 10_i64.pow(place) % 10) as u8);
    }
}
