//! The facts: what is counted, what a stream record says, and what is stored of it.

pub mod arn;
pub mod attribute_type;
pub mod change;
pub mod definition;
pub mod digest;
pub mod existing_marker;
pub mod expression_size;
pub mod filter;
pub mod item_size;
pub mod kept_record;
pub mod language;
pub mod limits;
pub mod marker;
pub mod measure;
pub mod number;
pub mod poison;
pub mod quarantine_index;
pub mod record;
pub mod set_attribute;
pub mod sorted_map;
pub mod view;
pub mod view_key;
