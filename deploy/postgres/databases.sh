#!/bin/bash
# One database for the desk and two for Temporal, each owned by a role that can reach nothing else. The database's image
# runs this once, on an empty volume, as its superuser.
set -euo pipefail

: "${RINGBACK_POSTGRES_PASSWORD:?}" "${TEMPORAL_POSTGRES_PASSWORD:?}"

psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
  --set=ringback_password="$RINGBACK_POSTGRES_PASSWORD" --set=temporal_password="$TEMPORAL_POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE ringback LOGIN PASSWORD :'ringback_password';
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE DATABASE ringback OWNER ringback ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE temporal OWNER temporal ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE temporal_visibility OWNER temporal ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE ringback, temporal, temporal_visibility, postgres FROM PUBLIC;
SQL
