//! The hot path of the identity resolver: the rules at work on a batch, as native code.
//!
//! `resolver.engine.ReferenceEngine` says in Python what this does, and is the specification; the
//! two read and write the same states and the same messages, and the tests of the one run on the
//! other. `docs/architecture.md` says which file here corresponds to which module there.
//!
//! Read `engine` first. `arena` holds what a batch is made of; `reading` makes events of messages,
//! `batch` folds them, `records` joins them, `profiles` folds them for a destination, `targets` has
//! its messages written (by `profiles`, `forms` or `avro`), and `state` keeps records. What is unusual
//! is `json::Odd` and left to Python. `lines` does without engine and store. `wire` stands apart: it
//! packs requests to Redis. `memory` is where all of it lies.

mod arena;
mod avro;
mod batch;
mod compact;
mod engine;
mod forms;
mod json;
mod lines;
mod memory;
mod pack;
mod phrases;
mod profiles;
mod reading;
mod records;
mod state;
mod targets;
mod times;
mod wire;

use pyo3::prelude::*;

/// `resolver.edges._native`; `_native.pyi` says what it holds.
#[pymodule(name = "_native")]
fn native(module: &Bound<PyModule>) -> PyResult<()> {
    module.add_class::<engine::Engine>()?;
    module.add_class::<lines::Lines>()?;
    module.add_class::<wire::Packer>()
}
