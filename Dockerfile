# syntax=docker/dockerfile:1.7
# The production image: one static binary, no shell, no root. The embedded engine is not in it.

# The toolchain that go.mod names, so that nothing is fetched or built with another one.
FROM golang:1.26.8-bookworm AS build
ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -ldflags='-s -w' -o /out/ringback ./cmd/ringback && mkdir /out/drop

# static: certificates, time zones, /etc/passwd with nonroot (65532), and nothing else.
FROM gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab
COPY --from=build /out/ringback /ringback
# An empty volume there is the user's, as the folder is.
COPY --from=build --chown=65532:65532 /out/drop /var/lib/ringback/drop
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/ringback"]
