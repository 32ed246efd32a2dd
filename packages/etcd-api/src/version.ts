/** The etcd release whose API and answers are spoken here. Clients parse it as a semantic version. */
export const ETCD_VERSION = '3.6.14'

/** The version of etcd's storage schema that goes with {@link ETCD_VERSION}. */
export const ETCD_STORAGE_VERSION = '3.6.0'
