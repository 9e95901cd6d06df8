"""The core of Cloud Gestion · Configuración: everything but the pages. Never imports Streamlit."""
