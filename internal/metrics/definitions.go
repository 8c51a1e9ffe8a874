package metrics

import "slices"

// The names of the metrics. docs/metrics.md lists them with their labels and meaning.
const (
	NameSessions           = "dotsgate_sessions"
	NameSessionsLost       = "dotsgate_sessions_lost_total"
	NameSessionsDisowned   = "dotsgate_sessions_disowned_total"
	NameObservers          = "dotsgate_observers"
	NameObserversRefused   = "dotsgate_observers_refused_total"
	NameNotifications      = "dotsgate_notifications_total"
	NameRequests           = "dotsgate_requests_total"
	NameMitigations        = "dotsgate_mitigations"
	NameLegs               = "dotsgate_legs"
	NameUplinkUp           = "dotsgate_uplink_up"
	NameUplinkSuspect      = "dotsgate_uplink_suspect"
	NameOldestReport       = "dotsgate_oldest_report_seconds"
	NameHeartbeatsMissed   = "dotsgate_heartbeats_missed_total"
	NameCommitSeconds      = "dotsgate_commit_seconds"
	NameCommitBatches      = "dotsgate_commit_batches"
	NameCommitFailures     = "dotsgate_commit_failures_total"
	NameMailboxDepth       = "dotsgate_mailbox_depth"
	NameMailboxCapacity    = "dotsgate_mailbox_capacity"
	NameMailboxRefusals    = "dotsgate_mailbox_refusals_total"
	NameResolutions        = "dotsgate_resolutions_total"
	NameUplinkDrained      = "dotsgate_uplink_drained"
	NameBlindCUIDs         = "dotsgate_blind_cuids"
	NameLegsShared         = "dotsgate_legs_shared"
	NameUplinkRTT          = "dotsgate_uplink_rtt_seconds"
	NameRedirects          = "dotsgate_uplink_redirects_total"
	NameRecursed           = "dotsgate_recursed_mitigations"
	NameRateRefusals       = "dotsgate_rate_refusals_total"
	NameAAADecisions       = "dotsgate_aaa_decisions_total"
	NameAAASeconds         = "dotsgate_aaa_seconds"
	NameAAASilences        = "dotsgate_aaa_silences_total"
	NameAAADropped         = "dotsgate_aaa_dropped_total"
	NameReloads            = "dotsgate_reloads_total"
	NameDatagrams          = "dotsgate_coap_datagrams_total"
	NameMalformed          = "dotsgate_coap_malformed_total"
	NameDuplicates         = "dotsgate_coap_duplicates_total"
	NameForgotten          = "dotsgate_coap_forgotten_early_total"
	NameRetransmissions    = "dotsgate_coap_retransmissions_total"
	NameUnknownOptions     = "dotsgate_coap_unknown_critical_options_total"
	NameResets             = "dotsgate_coap_resets_total"
	NameTimeouts           = "dotsgate_coap_timeouts_total"
	NameUnexpected         = "dotsgate_coap_unexpected_responses_total"
	NameTablesFull         = "dotsgate_coap_refusals_total"
	NameWriteErrors        = "dotsgate_coap_write_errors_total"
	NameAborts             = "dotsgate_coap_aborts_total"
	NameSessionsRefused    = "dotsgate_sessions_refused_total"
	NameSourcesRefused     = "dotsgate_sources_refused_total"
	NamePressure           = "dotsgate_pressure_level"
	NameShed               = "dotsgate_shed_total"
	NameFrontGated         = "dotsgate_front_gated"
	NameFrontHellos        = "dotsgate_front_hellos_total"
	NameFrontHandshakes    = "dotsgate_front_handshake_troubles_total"
	NameFrontDropped       = "dotsgate_front_dropped_total"
	NameFrontSessions      = "dotsgate_front_sessions_total"
	NameDoorHandshakes     = "dotsgate_door_handshakes"
	NameDoorSources        = "dotsgate_door_sources"
	NameDoorRoom           = "dotsgate_door_sources_room"
	NameDoorLost           = "dotsgate_door_sources_lost_total"
	NameUDPDatagrams       = "dotsgate_udp_datagrams_total"
	NameUDPLost            = "dotsgate_udp_lost_total"
	NameHandshakes         = "dotsgate_handshakes_total"
	NameHandshakeFailures  = "dotsgate_handshake_failures_total"
	NameRecovered          = "dotsgate_recovered_panics_total"
	NameBuildInfo          = "dotsgate_build_info"
	labelSide              = "side"
	labelTransport         = "transport"
	labelTable             = "table"
	labelMethod            = "method"
	labelCode              = "code"
	labelStatus            = "status"
	labelFollowed          = "followed"
	labelUplink            = "uplink"
	labelState             = "state"
	labelKind              = "kind"
	labelOutcome           = "outcome"
	labelSource            = "source"
	labelDecision          = "decision"
	labelFault             = "fault"
	labelResult            = "result"
	labelTrouble           = "trouble"
	labelReason            = "reason"
	labelEvent             = "event"
	labelDirection         = "direction"
	labelVersion           = "version"
	labelRevision          = "revision"
	labelGoVersion         = "goversion"
	directionIn            = "in"
	directionOut           = "out"
	labelOther             = "other"
	millisecond            = 0.001 // seconds
	commitBucketsFrom      = millisecond / 8
	commitBuckets          = 16 // to about 4 s
	commitBatchBuckets     = 12 // to 2048 batches
	commitBucketGrowth     = 2
	commitBatchBucketsFrom = 1
	aaaBuckets             = 14 // of those of commits, from 1 ms to about 8 s
)

// kind is the type of a metric in Prometheus' words.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// definition is one metric: docs/metrics.md is compared with these.
type definition struct {
	name   string
	kind   kind
	labels []string
	help   string
}

// definitions returns every metric of the gateway; the Go runtime's and the process' own are not among them.
func definitions() []definition {
	return slices.Concat(stateDefinitions(), routeDefinitions(), workDefinitions(), transportDefinitions(), pressureDefinitions(), frontDefinitions())
}

func stateDefinitions() []definition {
	return []definition{
		{NameSessions, gauge, []string{labelSide, labelTransport}, "Open CoAP sessions."},
		{NameSessionsLost, counter, []string{labelSide}, "Sessions given up for missed heartbeats."},
		{NameSessionsDisowned, counter, nil, "Clients' sessions ended by a reload: the client is not configured any more, or its credentials are not good any more."},
		{NameObservers, gauge, nil, "Observations that clients have open."},
		{NameObserversRefused, counter, nil, "Observations answered as a plain GET because their client has too many."},
		{NameNotifications, counter, []string{labelCode}, "Notifications handed to clients' sessions, by code."},
		{NameRequests, counter, []string{labelSide, labelMethod, labelCode}, "Requests answered (downstream) or answered to us (uplink); code silent is no answer."},
		{NameMitigations, gauge, []string{labelStatus}, "Mitigations by the status their clients see."},
		{NameLegs, gauge, []string{labelUplink, labelState}, "Mitigations requested of uplinks, by state."},
		{NameUplinkUp, gauge, []string{labelUplink}, "1 while the uplink has a session that is alive, else 0."},
		{NameUplinkSuspect, gauge, []string{labelUplink}, "1 while three or more heartbeats in a row went unanswered on the uplink's session, which is in use all the same; else 0."},
		{NameOldestReport, gauge, []string{labelUplink}, "Seconds since the uplink told how that mitigation fares of which it told longest ago; 0 when nothing stands there."},
		{NameHeartbeatsMissed, counter, []string{labelSide}, "Heartbeats not answered in time."},
		{NameBuildInfo, gauge, []string{labelVersion, labelRevision, labelGoVersion}, "Always 1; the labels tell which build runs."},
	}
}

func routeDefinitions() []definition {
	return []definition{
		{NameUplinkDrained, gauge, []string{labelUplink}, "1 while the uplink drains by the operator's command, else 0."},
		{NameBlindCUIDs, gauge, []string{labelUplink}, "Cuids of ours at the uplink whose list of mitigations cannot be had: each mitigation is asked for by itself."},
		{NameLegsShared, gauge, []string{labelUplink}, "Mitigations requested of the uplink that stand for several of clients."},
		{NameUplinkRTT, gauge, []string{labelUplink}, "Smoothed round-trip time of the uplink's session; 0 without a session, and before it is known."},
		{NameRedirects, counter, []string{labelUplink, labelFollowed}, "Redirects of the uplink to another server, followed or not (they lead back to one where we were not long ago)."},
		{NameRecursed, gauge, nil, "Mitigations that went on from the local mitigators to the uplinks."},
		{NameRateRefusals, counter, nil, "Requests refused because their client asks too often."},
		{NameAAADecisions, counter, []string{labelSource, labelDecision}, "Decisions of the AAA server on requests, by where they came from."},
		{NameAAASeconds, histogram, nil, "Seconds until the AAA server answered."},
		{NameAAASilences, counter, nil, "Questions to the AAA server that brought nothing usable."},
		{NameAAADropped, counter, []string{labelFault}, "Answers of the AAA server that were not accepted."},
		{NameReloads, counter, []string{labelOutcome}, "Reloads of the configuration, by outcome."},
	}
}

func workDefinitions() []definition {
	return []definition{
		{NameCommitSeconds, histogram, nil, "Seconds from handing records to the store until they were durable."},
		{NameCommitBatches, histogram, nil, "Batches of the core that became durable in one commit."},
		{NameCommitFailures, counter, nil, "Commits the store refused."},
		{NameMailboxDepth, gauge, nil, "Events waiting for the core."},
		{NameMailboxCapacity, gauge, nil, "Events the mailbox holds at most."},
		{NameMailboxRefusals, counter, []string{labelKind}, "Events refused because the mailbox was full, by kind."},
		{NameResolutions, counter, []string{labelOutcome}, "Names looked up, by outcome."},
	}
}

func transportDefinitions() []definition {
	side := []string{labelSide}
	return []definition{
		{NameDatagrams, counter, []string{labelSide, labelDirection}, "CoAP datagrams (over TCP: messages)."},
		{NameMalformed, counter, side, "CoAP messages dropped because they are malformed."},
		{NameDuplicates, counter, side, "CoAP requests seen again and answered as before."},
		{NameForgotten, counter, side, "CoAP messages forgotten before their time because a session sent more than is remembered: a duplicate is acted on again."},
		{NameRetransmissions, counter, side, "Confirmable messages sent again."},
		{NameUnknownOptions, counter, side, "CoAP messages refused for a critical option we do not know."},
		{NameResets, counter, []string{labelSide, labelDirection}, "CoAP Reset messages."},
		{NameTimeouts, counter, side, "Confirmable messages that were never acknowledged."},
		{NameUnexpected, counter, side, "CoAP responses that belong to no request."},
		{NameTablesFull, counter, side, "CoAP requests refused because a table of their session was full."},
		{NameWriteErrors, counter, side, "CoAP messages that the transport did not take."},
		{NameAborts, counter, side, "TCP sessions that we ended for a protocol error."},
		{NameHandshakes, counter, side, "DTLS and TLS handshakes completed."},
		{NameHandshakeFailures, counter, side, "DTLS and TLS handshakes that failed or timed out."},
		{NameSessionsRefused, counter, side, "Sessions refused because there were as many as may be."},
		{NameSourcesRefused, counter, side, "TCP connections refused because their source came too often or held too many."},
		{NameRecovered, counter, side, "Messages dropped because handling them panicked: each one is a defect."},
	}
}
