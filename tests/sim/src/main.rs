//! Dormouse.
fn main(){}
