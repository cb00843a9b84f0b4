# Shortens what 'go test -v' prints, followed by a line "exit STATUS": of a package that failed all but what says that a test runs or
# has passed, of the others the line that they end with and what was skipped in them, and why. Ends with that status.

/^exit [0-9]+$/ { status = $2; ended = 1; next }

{ line[n++] = $0 }

/^(ok  |FAIL|\?   )\t/ {
  if ($1 == "?") { n = 0; next }
  for (i = 0; i < n; i++) {
    skip = line[i] ~ /^ *--- SKIP:/
    reason = line[i] ~ /SKIPPED: / || line[i] ~ /_test\.go:[0-9]+: / && line[i + 1] ~ /^ *--- SKIP:/
    noise = line[i] ~ /^=== (RUN|PAUSE|CONT) / || line[i] ~ /^ *--- PASS:/
    if (skip || reason || i == n - 1 || $1 == "FAIL" && !noise) print line[i]
    skipped += skip
  }
  delete line
  n = 0
  fflush()
}

END {
  for (i = 0; i < n; i++) print line[i]
  if (skipped) printf "%d skipped, as said above\n", skipped
  exit (ended ? status : 1)
}
