"""The routes of the API, a module an object; each declares the scope it needs."""
