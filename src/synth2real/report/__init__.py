"""What a person looks at: tables, pictures and the HTML page."""
