package badgerspool

const childEnv = "SEALPOST_SPOOL_CHILD"

func childMain(dir string) {}
