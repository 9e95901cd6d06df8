"""The rules of diagnosis: how a reply is read, which wordings and codes mean what, what each exception means."""
