// The script of the page. Everything works without it; it saves reloads and gives keys.
