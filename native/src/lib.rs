//! The hot path of the identity resolver: the rules at work on a batch, as native code.
//!
//! `resolver.engine.ReferenceEngine` says in Python what this does; the two read and write the same
//! states and the same messages, and the tests of the one run on the other.

mod arena;
mod engine;
mod json;
mod pack;
mod profiles;
mod reading;
mod records;
mod state;
mod targets;
mod times;
mod wire;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule(name = "_native")]
fn native(module: &Bound<PyModule>) -> PyResult<()> {
    module.add_class::<engine::Engine>()?;
    module.add_class::<wire::Packer>()
}
