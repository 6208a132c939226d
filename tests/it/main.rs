//! The integration suite: every test on an engine of its own, on real stream records.

#![allow(unreachable_pub, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use support::{engine, four_views, function};

mod audit;
mod audit_memory;
mod audit_page;
mod audit_requests;
mod audit_speed;
mod auditor;
mod bootstrap;
mod command;
mod correction;
mod definition;
mod deploy_check;
mod documented_commands;
mod extremes;
mod failure_queue;
mod first_touch;
mod hostile;
mod hot_item;
mod isolation;
mod kept_in_parts;
mod late_stream;
mod limits;
mod local;
mod local_own_tables;
mod migrate;
mod migrate_adoption;
mod migrate_interrupted;
mod moves;
mod operator_walk;
mod own_table_page;
mod persisted;
mod poison;
mod poller;
mod proxy;
mod public_cases;
mod quarantine;
mod reasons_in_words;
mod redelivery;
mod repair;
mod repaired;
mod replay;
mod replay_duplicate_events;
mod replay_lanes;
mod request_hook;
mod requests;
mod rollup;
mod runtime_api;
mod several_views;
mod slices;
mod sparse_shard;
mod storm;
mod stream_reader;
mod stream_service;
mod summary;
mod terminal;
mod under_fire;
mod under_fire_process;
mod view_added_live;
mod view_check;
mod view_command;
mod view_reference;
mod zero_groups;
