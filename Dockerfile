# Bulkhead as a service: no compiler, no test, no shell needed, and nothing to write to but /var/lib/bulkhead.

FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Optional packages too: the compiler and the linter are built for one platform each.
RUN npm ci --include=dev
COPY tsconfig.json ./
COPY scripts scripts
COPY protocols protocols
COPY src src
RUN node scripts/build.mjs && npm prune --omit=dev --omit=optional

FROM node:22-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist/protocols dist/protocols
COPY --from=build /app/dist/src dist/src
RUN chmod +x dist/src/cli.js \
  && ln -s /app/dist/src/cli.js /usr/local/bin/bulkhead \
  && install -d -o node -g node -m 0750 /var/lib/bulkhead
USER node
EXPOSE 6432 6306 6380 9464
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["bulkhead"]
CMD ["serve", "--config", "/etc/bulkhead/bulkhead.yaml"]
