//! What the FHIR specification says of a server, one module per page or part of a page. Each test is named as the
//! sentence it checks, and stands under the address of the section. Where the specification leaves a choice, every
//! choice passes.
//!
//! All tests share one server per backend, or the one that `TESSERA_BASE_URL` names.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and what it prints is shown when it does"
)]

mod audit;
mod audit_commands;
mod bundle_batch;
mod bundle_patch;
mod bundle_references;
mod bundle_transaction;
mod capability_lines;
mod documents;
mod first_start;
mod formats_compression;
mod formats_negotiation;
mod formats_xml;
mod http_async;
mod http_binary;
mod http_capabilities;
mod http_conditional;
mod http_create;
mod http_delete;
mod http_history;
mod http_limits;
mod http_outcomes;
mod http_patch_fhirpath;
mod http_patch_json;
mod http_purge;
mod http_read;
mod http_time;
mod http_update;
mod log_canary;
mod metrics;
mod operations_document_graph;
mod operations_everything;
mod operations_frame;
mod operations_lastn_stats;
mod operations_meta;
mod operations_validate;
mod replica;
mod search_chain;
mod search_compartment;
mod search_composite;
mod search_contained;
mod search_date;
mod search_filter;
mod search_modifiers;
mod search_near;
mod search_number_quantity;
mod search_paging;
mod search_reference;
mod search_result;
mod search_special;
mod search_stored_parameter;
mod search_string;
mod search_terminology;
mod search_text;
mod search_token;
mod search_uri;
mod site;
mod smart;
mod smart_access;
mod smart_admin;
mod smart_audit;
mod smart_backend;
mod smart_break_glass;
mod smart_bypass;
mod smart_clinic;
mod smart_consent;
mod smart_discovery;
mod smart_external;
mod smart_federated;
mod smart_kit;
mod smart_kit_table;
mod smart_launch;
mod smart_people;
mod smart_provider;
mod smart_registration;
mod smart_second_factor;
mod smart_session;
mod space;
mod suite;
mod suite_stand_in;
mod terminology_capabilities;
mod terminology_expand;
mod terminology_limits;
mod terminology_lookup_subsumes;
mod terminology_translate;
mod terminology_validate_code;
mod traces;
mod validation;
