//! A second evaluator of definitions, written from their contract alone: slow and plain. It shares no code with the
//! first, and both must say the same of definitions and items that are made up.

mod agreement;
mod datum;
mod decimal;
mod document;
mod evaluate;
mod image;
mod made_up_definition;
mod made_up_expression;
mod made_up_item;
mod parse;
mod refused;
mod syntax;
mod time;
mod words;
