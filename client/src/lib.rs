//! Dormouse.
