//! Expressions, plans and what is made of them.

mod fixture;
mod inspect;
mod load;
mod mergekit;
mod methods;
mod plan;
mod trust;
mod write;
