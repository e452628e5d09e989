//! What can be said: the documents, operations and failures of the HCN and HCS APIs.
