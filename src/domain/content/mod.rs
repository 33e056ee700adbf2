//! A manifest's content: parsed, checked, canonical, hashed.
