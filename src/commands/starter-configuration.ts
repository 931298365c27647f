/** What `bulkhead init` writes: valid as it stands, to be edited. */
export const STARTER_CONFIGURATION = `# Bulkhead: which systems stand behind which listener, and what each run may do there.
# Check it with \`bulkhead check-config\`. Every key is described in docs/operating.md.

systems:
  shop:
    protocol: postgres
    listen: 127.0.0.1:6432
    tls: { cert: ./keys/tls.crt, key: ./keys/tls.key }
    backend:
      url: postgres://bulkhead@127.0.0.1:5432/shop
      # password: "\${SHOP_PASSWORD}"            # from the environment
      # tls: verify-full                        # the default off this machine

  crm:
    protocol: mysql
    listen: 127.0.0.1:6306
    tls: { cert: ./keys/tls.crt, key: ./keys/tls.key }
    backend:
      url: mysql://bulkhead@127.0.0.1:3306/crm
      # password: "\${file:/run/secrets/crm}"     # from a file

  carts:
    protocol: redis
    listen: 127.0.0.1:6380
    backend:
      url: redis://127.0.0.1:6379/0

grants:
  read-orders:
    system: shop
    allow:
      - select on orders, order_items
      - select (id, city) on customers

  read-accounts:
    system: crm
    allow:
      - select on accounts

  warm-carts:
    system: carts
    allow:
      - "+@read ~cart:*"
      - "+set +expire ~cart:*"

issuers:
  - issuer: bulkhead
    key: ./keys/issuer.pub.jwk

# What follows a try to leave the granted system: reject, end_session or quarantine.
on_hop: reject

audit: { file: ./audit.jsonl }
admin: { listen: 127.0.0.1:9464, token: "\${file:./keys/admin.token}" }
`
