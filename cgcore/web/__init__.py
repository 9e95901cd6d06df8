"""What the web server adds around Streamlit: gate, log-in pages, headers, REST API."""
