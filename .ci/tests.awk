# Shortens what 'go test -v' prints, followed by a line "exit STATUS": of a package that failed all of it, of the others the line that
# they end with and what was skipped in them, and why. Ends with that status.

/^exit [0-9]+$/ { status = $2; ended = 1; next }

{ line[n++] = $0 }

/^(ok  |FAIL|\?   )\t/ {
  if ($1 == "?") { n = 0; next }
  for (i = 0; i < n; i++) {
    if ($1 == "FAIL" || i == n - 1 || line[i] ~ /^ *--- SKIP:/ || line[i] ~ /SKIPPED: /) print line[i]
    if (line[i] ~ /^ *--- SKIP:/) skipped++
  }
  n = 0
  fflush()
}

END {
  for (i = 0; i < n; i++) print line[i]
  if (skipped) printf "%d skipped, as said above\n", skipped
  exit (ended ? status : 1)
}
