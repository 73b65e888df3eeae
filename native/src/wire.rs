//! Requests to Redis as bytes, and what its replies hold: `resolver.edges.redis_store.Packer`.

use crate::compact::packed_uuid;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use std::io::Write;

/// Bytes of a version in front of a state.
const VERSION_BYTES: usize = 6;
/// Stands between a kind and a UUID's bytes, where other identifiers have a colon.
const UUID_SIGN: &[u8] = b"#";
/// What a stored state takes about, for a buffer that need not grow.
const STATE_BYTES: usize = 512;

/// What packs requests; it speaks to nobody, the store sends them.
#[pyclass(module = "resolver.edges._native")]
pub struct Packer {
    homes: Vec<String>,
    stored: Py<PyAny>,
    absent: Py<PyAny>,
}

#[pymethods]
impl Packer {
    /// `homes` are what stands in front of an identifier in a key, by its shard.
    #[new]
    fn new(py: Python, homes: Vec<String>) -> PyResult<Packer> {
        if homes.is_empty() {
            return Err(PyValueError::new_err("there must be a shard"));
        }
        let ports = py.import("resolver.ports")?;
        let (stored, absent) = (ports.getattr("Stored")?, ports.getattr("ABSENT")?);
        Ok(Packer { homes, stored: stored.unbind(), absent: absent.unbind() })
    }

    /// The request to load records.
    fn load<'py>(&self, py: Python<'py>, keys: &Bound<PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let count = keys.len()?;
        let mut out = Vec::with_capacity(64 * (count + 1));
        head(&mut out, count + 1);
        text(&mut out, &[b"MGET"]);
        for key in keys.try_iter()? {
            let key = key?;
            self.name(&mut out, key.cast::<PyString>()?.to_str()?);
        }
        Ok(PyBytes::new(py, &out))
    }

    /// The request to swap, by the script; see `swap.lua`.
    fn swap<'py>(
        &self,
        py: Python<'py>,
        script: &str,
        token_name: &str,
        token: &[u8],
        swaps: &Bound<PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let count = swaps.len()?;
        let mut out = Vec::with_capacity(STATE_BYTES * (count + 1));
        let mut expected = Vec::with_capacity(VERSION_BYTES * count);
        head(&mut out, 3 + count + 1 + 2 + count);
        text(&mut out, &[b"EVALSHA"]);
        text(&mut out, &[script.as_bytes()]);
        text(&mut out, &[(count + 1).to_string().as_bytes()]);
        let mut states = Vec::with_capacity(count);
        for swap in swaps.try_iter()? {
            let swap = swap?;
            self.name_of(&mut out, &swap)?;
            expected.extend(version(&swap.getattr(intern!(py, "expected"))?)?);
            states.push(state(&swap)?);
        }
        text(&mut out, &[token_name.as_bytes()]);
        text(&mut out, &[token]);
        text(&mut out, &[&expected]);
        for (version, state) in &states {
            text(&mut out, &[version, state.as_bytes()]);
        }
        Ok(PyBytes::new(py, &out))
    }

    /// The request to set states and the token, all at once or, if a watched key moved, none.
    fn set_all<'py>(
        &self,
        py: Python<'py>,
        token_name: &str,
        token: &[u8],
        swaps: &Bound<PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let count = swaps.len()?;
        let mut out = Vec::with_capacity(STATE_BYTES * (count + 1));
        head(&mut out, 1);
        text(&mut out, &[b"MULTI"]);
        head(&mut out, 3 + 2 * count);
        text(&mut out, &[b"MSET"]);
        text(&mut out, &[token_name.as_bytes()]);
        text(&mut out, &[token]);
        for swap in swaps.try_iter()? {
            let swap = swap?;
            self.name_of(&mut out, &swap)?;
            let (version, state) = state(&swap)?;
            text(&mut out, &[&version, state.as_bytes()]);
        }
        head(&mut out, 1);
        text(&mut out, &[b"EXEC"]);
        Ok(PyBytes::new(py, &out))
    }

    /// The expected versions as one, then each new version with its state.
    fn arguments<'py>(
        &self,
        py: Python<'py>,
        swaps: &Bound<PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut expected = Vec::new();
        let kept = PyList::empty(py);
        for swap in swaps.try_iter()? {
            let swap = swap?;
            expected.extend(version(&swap.getattr(intern!(py, "expected"))?)?);
            let (version, state) = state(&swap)?;
            kept.append(PyBytes::new(py, &[&version, state.as_bytes()].concat()))?;
        }
        kept.insert(0, PyBytes::new(py, &expected))?;
        Ok(kept)
    }

    /// Where a record lies.
    #[pyo3(name = "name")]
    fn key<'py>(&self, py: Python<'py>, key: &str) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.place(key, &mut [0; 16]).concat())
    }

    /// The records of a reply.
    fn records<'py>(&self, py: Python<'py>, reply: &Bound<PyList>) -> PyResult<Bound<'py, PyList>> {
        let records = PyList::empty(py);
        for raw in reply.iter() {
            if raw.is_none() {
                records.append(&self.absent)?;
                continue;
            }
            let raw = raw.cast::<PyBytes>()?.as_bytes();
            let Some((version, state)) = raw.split_first_chunk::<VERSION_BYTES>() else {
                records.append(&self.absent)?;
                continue;
            };
            let state = PyBytes::new(py, state);
            let version = version.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
            records.append(self.stored.bind(py).call1((version, state))?)?;
        }
        Ok(records)
    }
}

impl Packer {
    /// The key in Redis of a swap's record.
    fn name_of(&self, out: &mut Vec<u8>, swap: &Bound<PyAny>) -> PyResult<()> {
        let key = swap.getattr(intern!(swap.py(), "key"))?;
        self.name(out, key.cast::<PyString>()?.to_str()?);
        Ok(())
    }

    /// A record's key as an argument.
    fn name(&self, out: &mut Vec<u8>, key: &str) {
        text(out, &self.place(key, &mut [0; 16]));
    }

    /// A record's key in Redis, in parts: a UUID is its sixteen bytes, as in Python.
    fn place<'a>(&'a self, key: &'a str, uuid: &'a mut [u8; 16]) -> [&'a [u8]; 4] {
        let shard = crc32fast::hash(key.as_bytes()) as usize % self.homes.len();
        let home = self.homes[shard].as_bytes();
        let (kind, value) = key.split_once(':').unwrap_or((key, ""));
        match packed_uuid(value.as_bytes()) {
            Some(packed) => {
                *uuid = packed;
                [home, kind.as_bytes(), UUID_SIGN, uuid]
            }
            None => [home, key.as_bytes(), b"", b""],
        }
    }
}

/// A swap's new version and state, which are kept one behind the other.
fn state<'py>(swap: &Bound<'py, PyAny>) -> PyResult<([u8; VERSION_BYTES], Bound<'py, PyBytes>)> {
    let py = swap.py();
    let number = version(&swap.getattr(intern!(py, "version"))?)?;
    Ok((number, swap.getattr(intern!(py, "state"))?.cast_into::<PyBytes>()?))
}

/// A version as it lies in front of a state, big-endian.
fn version(number: &Bound<PyAny>) -> PyResult<[u8; VERSION_BYTES]> {
    let number: u64 = number.extract()?;
    match number.to_be_bytes() {
        [0, 0, version @ ..] => Ok(version),
        _ => Err(PyOverflowError::new_err("a version of more than six bytes")),
    }
}

/// The head of a command of so many arguments, its name among them.
fn head(out: &mut Vec<u8>, count: usize) {
    let _ = write!(out, "*{count}\r\n");
}

/// An argument of several parts.
fn text(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let _ = write!(out, "${}\r\n", parts.iter().map(|part| part.len()).sum::<usize>());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend(b"\r\n");
}
