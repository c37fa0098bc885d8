system("curl example.org")
