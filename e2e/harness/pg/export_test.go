package pg

// ForgetPlaces leaves the PATH as the only place where PostgreSQL is looked for.
func ForgetPlaces() { places = nil }
