//! The real binary on the golden models: the same numbers as PyTorch, a documented end for every
//! kind of bad input, and the command line's contract (`mqt --help`).

// `cfg(test)` is always true here; it tells the lints that these are tests.
#[cfg(test)]
#[path = "cli"]
mod cli {
    mod attention;
    mod bad_model;
    mod bad_pack;
    mod bad_request;
    mod cache;
    mod calibrate;
    mod chat;
    mod chat_lines;
    mod clips;
    mod commands;
    mod devices;
    mod eval;
    mod eval_files;
    mod exact;
    mod folders;
    mod gguf;
    mod interrupted;
    mod models;
    mod odd_model;
    mod odd_settings;
    mod open;
    mod outputs;
    mod pictures;
    mod pull;
    mod pull_existing;
    mod pull_hostile;
    mod pull_listing;
    mod pull_versions;
    mod serve;
    mod serve_forms;
    mod serve_safe;
    mod served;
    mod server;
    mod streams;
    mod terminal;
    mod toybox;
}
#[cfg(test)]
mod common;
