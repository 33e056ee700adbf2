//! A bucket whose server stops answering.
